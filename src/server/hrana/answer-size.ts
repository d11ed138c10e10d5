import { SpeilError } from '../../core/error.ts';
import type { CursorEntry, SqlValue, StatementResult } from '../sql.ts';
import { ANSWER_BYTES_MAX } from './limits.ts';
import type { Answer } from './messages.ts';

/** Of a value that is a number or null, and what every value has around it. */
const VALUE_BYTES = 40;

/** About the bytes of a row on the wire. */
export function rowBytes(row: readonly SqlValue[]): number {
  let bytes = 0;
  for (const value of row) bytes += VALUE_BYTES + extraBytes(value);
  return bytes;
}

export const entryBytes = (entry: CursorEntry): number => (entry.kind === 'row' ? rowBytes(entry.row) : VALUE_BYTES);

function extraBytes(value: SqlValue): number {
  if (typeof value === 'string') return value.length;
  return value instanceof Uint8Array ? Math.ceil((value.byteLength * 4) / 3) : 0;
}

/** About the bytes of an answer's rows on the wire. */
export function answerBytes(answer: Answer): number {
  switch (answer.kind) {
    case 'execute':
      return resultBytes(answer.result);
    case 'batch':
      return answer.outcomes.reduce((sum, it) => sum + (it.kind === 'result' ? resultBytes(it.result) : 0), 0);
    default:
      return 0;
  }
}

const resultBytes = ({ rows }: StatementResult): number => rows.reduce((sum, row) => sum + rowBytes(row), 0);

/** What `write` makes. Throws `ANSWER_TOO_LARGE` when that is more than a string can hold: escaped text may grow sixfold. */
export function fitting<T>(write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw error instanceof RangeError ? answerTooLarge() : error;
  }
}

export const answerTooLarge = (): SpeilError =>
  new SpeilError('ANSWER_TOO_LARGE', `the rows of the answer have more than ${ANSWER_BYTES_MAX} bytes`, {
    hint: 'The statement was carried out. Use a cursor, or LIMIT.',
  });
