import { SpeilError } from '../../core/error.ts';
import type { EnvelopeReader } from './envelope.ts';
import {
  BATCH_SINK,
  type Operation,
  operationOfElement,
  type Requests,
  ROW_SINK,
  type RowData,
  type RowDataBatch,
  requestReader,
  type TableSchemaInfo,
} from './messages.ts';
import type { TokenIdentity } from './signed-token.ts';
import { RowSpool, type SpooledRows, type SpoolMemory } from './spool.ts';
import { notUnderstood } from './xml.ts';

/** A batch of a `RowData` call, whose rows wait in the call's spool: the operation first, then the values. */
export type IncomingBatch = {
  readonly tableInfo: TableSchemaInfo;
  /** 0 when there is none. */
  readonly lsn: bigint;
  readonly rows: SpooledRows;
};

/** A call that was read completely and that is trusted. */
export type IncomingCall = {
  readonly [O in Operation]: {
    readonly operation: O;
    readonly identity: TokenIdentity;
    readonly request: Requests[O];
    /** Of a `RowData` call; its request has none. */
    readonly batches: readonly IncomingBatch[];
  };
}[Operation];

export type IncomingRules = {
  readonly memory: SpoolMemory;
  readonly bytesMax: number;
  /** The operation that the SOAPAction names; null when there is none. */
  readonly action: Operation | null;
  /** Throws `TRUST_REFUSED`, or `MIRROR_BUSY` when there is no room for one more. */
  readonly verify: (token: string) => Promise<TokenIdentity>;
};

/** Anybody may send so much before the token says who it is: a header of the contract has a few thousand bytes. */
const HEADER_BYTES_MAX = 256 * 1024;

/** A call that is understood and refused: it is answered in the words of the contract. */
export class CallRefused extends Error {
  override readonly name = 'CallRefused';
  readonly operation: Operation;

  constructor(operation: Operation, cause: unknown) {
    super('the call was refused', { cause });
    this.operation = operation;
  }
}

/** A trusted call that could not be read to its end. */
export class CallBroken extends Error {
  override readonly name = 'CallBroken';
  readonly operation: Operation;
  readonly identity: TokenIdentity;

  constructor({ operation, identity }: Begun, cause: unknown) {
    super('the call was not received', { cause });
    this.operation = operation;
    this.identity = identity;
  }
}

/**
 * Reads a call as it comes in and hands it on once it is complete. The token is looked at as soon as the header is
 * complete, before any row is kept for a stranger. Throws a `SoapFault`, `CONTRACT_BROKEN`, `CALL_TOO_LARGE`,
 * {@link CallRefused}, or {@link CallBroken} once the call is trusted.
 */
export async function receiveCall<T>(
  body: AsyncIterable<Uint8Array>,
  rules: IncomingRules,
  work: (call: IncomingCall) => Promise<T>,
): Promise<T> {
  await using spool = new RowSpool(rules.memory);
  const batches: IncomingBatch[] = [];
  const reader = requestReader({
    [ROW_SINK]: (row) => spool.add(fieldsOf(row as RowData)),
    [BATCH_SINK]: (batch) => {
      const { tableInfo, lsn } = batch as RowDataBatch;
      batches.push({ tableInfo, lsn, rows: spool.takeBatch() });
    },
  });
  const { begun, request } = await readBody(body, reader, spool, rules);
  return await work({ ...begun, request, batches } as unknown as IncomingCall);
}

const fieldsOf = ({ operation, columnValues }: RowData): readonly (string | null)[] => [
  operation ?? '',
  ...columnValues,
];

type Begun = { readonly operation: Operation; readonly identity: TokenIdentity };

async function readBody(
  body: AsyncIterable<Uint8Array>,
  reader: EnvelopeReader,
  spool: RowSpool,
  rules: IncomingRules,
): Promise<{ readonly begun: Begun; readonly request: unknown }> {
  let begun: Begun | null = null;
  let bytes = 0;
  try {
    for await (const piece of body) {
      bytes += piece.length;
      if (bytes > rules.bytesMax) throw tooLarge(rules.bytesMax);
      reader.write(piece);
      if (reader.bodyName !== null) begun ??= await begin(reader, rules);
      if (begun === null && bytes > HEADER_BYTES_MAX) throw notUnderstood('its header is too long');
      await spool.settle();
    }
    const { value: request } = reader.end();
    return { begun: begun ?? (await begin(reader, rules)), request };
  } catch (error) {
    throw begun === null ? error : new CallBroken(begun, error);
  }
}

/** The header is complete: who calls, and for what? */
async function begin({ bodyName, token }: EnvelopeReader, { action, verify }: IncomingRules): Promise<Begun> {
  const operation = operationOfElement(bodyName ?? '');
  if (operation === undefined) throw notUnderstood(`${bodyName} is no operation`);
  if (action !== null && action !== operation)
    throw notUnderstood(`its action is ${action}, its body is for ${operation}`);
  try {
    if (token === null) throw missingToken();
    return { operation, identity: await verify(token.trim()) };
  } catch (error) {
    throw new CallRefused(operation, error);
  }
}

const missingToken = (): SpeilError =>
  new SpeilError('TRUST_REFUSED', 'the call has no signed token', {
    hint: 'Every call carries its token in the header SignedToken.',
  });

export const tooLarge = (bytesMax: number): SpeilError =>
  new SpeilError('CALL_TOO_LARGE', `the call is larger than ${bytesMax} bytes`, {
    hint: 'Send smaller batches, or let this client take larger calls.',
  });
