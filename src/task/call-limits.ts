import { SpeilError } from '../core/error.ts';
import { TableName } from '../core/table.ts';
import type { RowBatch, RowDataAnswer, RowDataRequest } from './contract.ts';
import type { ReplicationContext } from './cycle.ts';
import type { Preferences } from './preferences.ts';

/** How large the calls of a cycle may become. */
export type CallLimits = {
  /** Bytes of rows in a call, about: what the source is asked for. */
  readonly batchBytes: number;
  /** Bytes of rows and of what surrounds them that the client takes in a call; null for no bound. */
  readonly callBytes: number | null;
};

/** The share of a client's bound that rows may take; the rest is for what surrounds them and for escapes. */
const ROWS_SHARE = 0.9;
/** What a batch takes beside its rows: names, hash, positions with their tokens. Generous. */
export const BATCH_SURROUNDINGS_BYTES = 1_000;

export function callLimits(callBytesMax: number | null, { batchBytes }: Preferences): CallLimits {
  if (callBytesMax === null) return { batchBytes, callBytes: null };
  const callBytes = Math.floor(callBytesMax * ROWS_SHARE);
  return { batchBytes: Math.max(1, Math.min(batchBytes, callBytes - BATCH_SURROUNDINGS_BYTES)), callBytes };
}

export const batchesBytes = (batches: readonly RowBatch[]): number =>
  batches.reduce((sum, batch) => sum + batch.rows.length + BATCH_SURROUNDINGS_BYTES, 0);

/** Sends batches as one call. Throws `CALL_TOO_LARGE` for a row that is larger than the client takes. */
export async function sendRows(
  { client, memory, limits }: ReplicationContext,
  request: RowDataRequest,
): Promise<RowDataAnswer> {
  const { batches } = request;
  const bytes = batches.reduce((sum, batch) => sum + batch.rows.length, 0);
  if (limits.callBytes !== null && bytes > limits.callBytes) throw tooLarge(batches, bytes, limits.callBytes);
  memory.sentBytes += bytes;
  return client.rowData(request);
}

function tooLarge(batches: readonly RowBatch[], bytes: number, callBytes: number): SpeilError {
  const names = [...new Set(batches.map(({ table }) => TableName.toText(table)))].join(', ');
  return new SpeilError(
    'CALL_TOO_LARGE',
    `a row of ${names} has ${bytes} bytes; the mirror client takes ${callBytes} bytes of rows in a call`,
    { hint: 'Start the mirror client with a larger --call-bytes-max.' },
  );
}
