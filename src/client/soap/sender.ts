import type { KeyObject } from 'node:crypto';
import { BarePosition } from '../../core/bare-position.ts';
import type { Clock } from '../../core/clock.ts';
import { errorReport, SpeilError } from '../../core/error.ts';
import { BATCH_BYTES_DEFAULT } from '../../core/limits.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type {
  AuthenticateAnswer,
  MirrorClientService,
  Notes,
  ReplicationCompletedRequest,
  RowDataAnswer,
  RowDataRequest,
  TablePosition,
  TableSchemaAnswer,
  TableSchemaRequest,
  WipeRequest,
} from '../../task/contract.ts';
import type { Operation, Requests, Responses } from './messages.ts';
import { rsaSigningKey } from './rsa-keys.ts';
import { type SoapPost, soapPost } from './sender-http.ts';
import { RowSending } from './sender-rows.ts';
import { firstTwice, type SentTable, sentTable } from './sender-table.ts';
import { signSignedToken, verifyApplicationToken } from './signed-token.ts';

export type SoapClientOptions = {
  /** The registered address of the mirror client; `http:` on loopback only, unless `insecure`. */
  readonly url: string;
  /** The context id of the tenant. */
  readonly tenant: string;
  /** The client id of the application. */
  readonly application: string;
  /** The private RSA key of the task's side: every call is signed with it. */
  readonly signingKey: KeyObject;
  /** PEM certificate of that key, named in the tokens' headers. */
  readonly certificate?: string | undefined;
  /** The application's public RSA key: its answer to `authenticate` must be signed with the other half. */
  readonly clientPublicKey: KeyObject;
  readonly clock: Clock;
  /** `SuperOffice AS` unless said otherwise. */
  readonly issuer?: string | undefined;
  /** Bytes of a `RowData` call, about; `BatchSize`. */
  readonly batchBytes?: number | undefined;
  /** PEM; trusted instead of the authorities that come with the platform. */
  readonly ca?: string | undefined;
  readonly insecure?: boolean | undefined;
  /** Ends calls that are under way. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * The five calls to a mirror client that speaks SuperOffice's published SOAP contract. It knows of a table one number
 * and nothing else: a copy that was interrupted begins anew, and readers see it grow. See docs/superoffice.md.
 */
export const createSoapClient = (options: SoapClientOptions): MirrorClientService & AsyncDisposable =>
  new SoapClient(options);

/** What a client answers to a call. */
type Outcome = { readonly isSuccessful: boolean; readonly errorMessage: string | null };

/** Characters of a client's own words that are repeated. */
const WORDS_MAX = 500;

class SoapClient implements MirrorClientService, AsyncDisposable {
  readonly #options: SoapClientOptions;
  readonly #post: SoapPost;
  readonly #signal: AbortSignal;
  /** The tables of the last `tableSchema`, as they were sent. */
  #tables: ReadonlyMap<string, SentTable> = new Map();
  /** The client of this cycle has proved who it is. */
  #isTrusted = false;
  /** A table of this cycle failed at the client. */
  #hasFailed = false;

  constructor(options: SoapClientOptions) {
    this.#options = options;
    this.#post = soapPost(options);
    this.#signal = options.signal ?? new AbortController().signal;
  }

  async authenticate(): Promise<AuthenticateAnswer> {
    this.#isTrusted = false;
    this.#hasFailed = false;
    const { nonce, answer } = await this.#send('Authenticate', { clientState: '' });
    if (!answer.isSuccessful) throw saidNo('TRUST_REFUSED', 'Authenticate', answer);
    const { clientPublicKey: publicKey, clock } = this.#options;
    verifyApplicationToken(answer.signedApplicationToken ?? '', { nonce, publicKey, nowMs: clock.now() });
    this.#isTrusted = true;
    return {
      supportedInterface: Number.parseInt(answer.supportedInterfaces ?? '', 10) || 1,
      build: answer.superOfficeMirroringBuild ?? '',
      clientState: answer.clientState ?? '',
      doNotReplicate: asksToWait(answer.additionalInformationJson)
        ? { reason: 'the client answered doNotReplicate' }
        : null,
      held: [],
      callBytesMax: null,
      needsEverySchema: true,
    };
  }

  async tableSchema(request: TableSchemaRequest): Promise<TableSchemaAnswer> {
    const { clientState, tables } = request;
    const prepared = tables.map(prepare);
    const sent = prepared.flatMap((table) => ('error' in table ? [] : [table]));
    refuseTwice(sent);
    const all = [...sent, ...this.#leftAlone(request, sent)];
    const { answer } = await this.#send('TableSchema', { clientState, tables: all.map(({ info }) => info) });
    const { isSuccessful, mirrorLsn } = answer;
    const refusal = isSuccessful ? null : saidNo('TABLE_FAILED', 'TableSchema', answer);
    if (refusal !== null && mirrorLsn.length === 0) throw refusal;
    this.#tables = new Map(all.map((table) => [table.name, table]));
    const answered = new Map(mirrorLsn.map(({ tableName, lsn }) => [(tableName ?? '').toLowerCase(), lsn]));
    this.#hasFailed = refusal !== null || sent.some(({ name }) => !answered.has(name.toLowerCase()));
    return {
      tables: prepared.map((table) =>
        'error' in table ? table : positionOf(table, answered.get(table.name.toLowerCase()), refusal),
      ),
      dropped: [],
    };
  }

  /**
   * Tables that this cycle leaves alone are sent without rows, since a table that is not sent is dropped. A client that
   * never had one makes it, empty. As they were sent last, where that is known: then nothing of them changes.
   */
  #leftAlone({ leaveAlone, leaveAloneSchemas = [] }: TableSchemaRequest, sent: readonly SentTable[]) {
    const schemas = new Map(leaveAloneSchemas.map((schema) => [TableName.toText(schema.table), schema]));
    const taken = new Set(sent.map(({ name }) => name.toLowerCase()));
    return leaveAlone.flatMap((table): readonly SentTable[] => {
      const name = TableName.toText(table);
      const schema = this.#tables.get(name)?.schema ?? schemas.get(name);
      if (schema === undefined) throw unreadable(name);
      const made = prepare(schema);
      // What cannot be sent is not at the client either; and of two names that are one to it, one holds the place.
      if ('error' in made || taken.has(name.toLowerCase())) return [];
      taken.add(name.toLowerCase());
      return [made];
    });
  }

  async wipe({ clientState, schema }: WipeRequest): Promise<Notes> {
    await this.#wipe(clientState, TableName.toText(schema.table));
    return { notes: [] };
  }

  async rowData({ clientState, batches }: RowDataRequest): Promise<RowDataAnswer> {
    const sending = new RowSending({
      tables: this.#tables,
      bytesMax: this.#options.batchBytes ?? BATCH_BYTES_DEFAULT,
      wipe: (table) => this.#wipe(clientState, table),
      send: async (dataBatches) => {
        const { answer } = await this.#send('RowData', { clientState, dataBatches });
        if (!answer.isSuccessful) throw saidNo('TABLE_FAILED', 'RowData', answer);
      },
    });
    const tables = await sending.run(batches);
    if (tables.some(({ error }) => error !== null)) this.#hasFailed = true;
    return { tables };
  }

  /** Only after a good cycle: a receiver that computes from the rows must not do so when some are missing. */
  async replicationCompleted({ clientState, changedTables }: ReplicationCompletedRequest): Promise<Notes> {
    if (this.#hasFailed) return { notes: ['a table failed at the client, so it is not told of a completed cycle'] };
    const { answer } = await this.#send('ReplicationCompleted', {
      clientState,
      changedTables: changedTables.map(({ table, inserted, updated, deleted }) => ({
        tableName: TableName.toText(table),
        inserts: inserted,
        updates: updated,
        deletes: deleted,
      })),
    });
    if (!answer.isSuccessful) throw saidNo('TABLE_FAILED', 'ReplicationCompleted', answer);
    return { notes: [] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#post[Symbol.asyncDispose]();
  }

  async #wipe(clientState: string, tableName: string): Promise<void> {
    try {
      const { answer } = await this.#send('Wipe', { clientState, tableName });
      if (!answer.isSuccessful) throw saidNo('TABLE_FAILED', 'Wipe', answer);
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  async #send<O extends Operation>(operation: O, request: Requests[O]) {
    if (operation !== 'Authenticate' && !this.#isTrusted) {
      throw new SpeilError('TRUST_REFUSED', `${operation} is not called before the client has proved who it is`);
    }
    const { tenant, application, issuer, signingKey, certificate, clock } = this.#options;
    const { token, nonce } = await signSignedToken({
      key: rsaSigningKey(signingKey, certificate ?? null),
      tenant,
      application,
      issuer,
      nowMs: clock.now(),
    });
    const answer: Responses[O] = await this.#post.send(operation, request, token, this.#signal);
    return { nonce, answer };
  }
}

function saidNo(code: 'TRUST_REFUSED' | 'TABLE_FAILED', operation: Operation, { errorMessage }: Outcome): SpeilError {
  const words = (errorMessage ?? 'without saying why').replace(/[\p{Cc}\p{Cf}]+/gu, ' ').slice(0, WORDS_MAX);
  return new SpeilError(code, `the mirror client failed in ${operation}: ${words}`, {
    hint: 'Look at the log of the mirror client.',
    recovery: code === 'TRUST_REFUSED' ? 'operator' : 'retry',
  });
}

/** The value is a string in the contract; a truth value is understood as well. */
function asksToWait(json: string | null): boolean {
  try {
    const { doNotReplicate } = JSON.parse(json ?? '') as { readonly doNotReplicate?: unknown };
    return String(doNotReplicate).toLowerCase() === 'true';
  } catch {
    return false;
  }
}

/**
 * Whether the client has the table nobody knows before the call, and after it the table is gone. So the cycle waits for a
 * lock to end, also where that was needless.
 */
const unreadable = (table: string): SpeilError =>
  new SpeilError(
    'LOCK_TIMEOUT',
    `${table} cannot be read now, and SuperOffice’s contract would drop it at the mirror if the cycle went on without it`,
    { hint: 'Another session holds it exclusively: see pg_locks. The next cycle tries again.', recovery: 'retry' },
  );

/** What is answered for a table that cannot be sent. */
type Refused = TablePosition & { readonly error: NonNullable<TablePosition['error']> };

function prepare(schema: TableSchema): SentTable | Refused {
  try {
    return sentTable(schema);
  } catch (error) {
    return { ...unknownPosition(schema.table), error: errorReport(error) };
  }
}

function refuseTwice(tables: readonly SentTable[]): void {
  const twice = firstTwice(tables.map(({ name }) => name));
  if (twice === undefined) return;
  throw new SpeilError('TABLE_FAILED', `two tables are called ${twice}, to SQL Server`, {
    hint: 'SuperOffice’s contract knows no upper and lower case in names. Skip one of the two.',
  });
}

const unknownPosition = (table: TableName): TablePosition => ({
  table,
  schemaChange: 'none',
  position: null,
  copy: null,
  error: null,
  notes: [],
});

const unanswered = (table: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the mirror client was sent the schema of ${table} and says nothing of the table`, {
    hint: 'Every table has to be in the answer to TableSchema: -1 for one that holds nothing.',
  });

/** A client that failed says nothing of the tables that it failed with; of the others it may. */
const positionOf = (
  { schema, shapes, name }: SentTable,
  lsn: bigint | undefined,
  refusal: SpeilError | null,
): TablePosition => ({
  ...unknownPosition(schema.table),
  position: lsn === undefined ? null : BarePosition.fromNumber(lsn, shapes),
  error: lsn === undefined ? errorReport(refusal ?? unanswered(name)) : null,
});
