import type { RowFormat } from '../../core/table.ts';
import type { SqlValue } from './connection.ts';

/** Text that a JavaScript string cannot hold (not valid UTF-8) or that SQL would cut (NUL); written as its bytes. */
export class RawText {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** A value on its way into a statement. */
export type Bound = SqlValue | RawText;

const REPLACEMENT = '\ufffd';

/** The field of a value in format `tagged`; undefined for text whose bytes have to be looked at. */
export function taggedField(value: SqlValue): string | null | undefined {
  if (value === null) return null;
  if (typeof value === 'string') return value.includes(REPLACEMENT) || value.includes('\0') ? undefined : `t${value}`;
  if (typeof value === 'bigint') return `i${value}`;
  if (typeof value === 'number') return `r${Object.is(value, -0) ? '-0' : value}`;
  return `b${hexOf(value)}`;
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** SQL that gives texts and blobs as the hex of their bytes behind their tag, for {@link exactField}. */
export const exactSql = (column: string): string =>
  `CASE typeof(${column}) WHEN 'text' THEN 'x'||hex(CAST(${column} AS BLOB)) WHEN 'blob' THEN 'b'||hex(${column}) ELSE ${column} END`;

/** The field of a value that was read through {@link exactSql} from a database of this encoding. */
export function exactField(value: SqlValue, encoding: string): string | null {
  if (typeof value !== 'string') return taggedField(value) ?? null;
  if (value.startsWith('b')) return value.toLowerCase();
  const bytes = utf8Of(Buffer.from(value.slice(1), 'hex'), encoding);
  const text = bytes.toString('utf8');
  return text.includes('\0') || !Buffer.from(text).equals(bytes) ? `x${bytes.toString('hex')}` : `t${text}`;
}

/** What a field stands for. */
export function boundOfTagged(field: string | null): Bound {
  if (field === null) return null;
  const rest = field.slice(1);
  switch (field[0]) {
    case 't':
      return rest;
    case 'i':
      return BigInt(rest);
    case 'r':
      return Number(rest);
    case 'b':
      return Buffer.from(rest, 'hex');
    case 'x':
      return new RawText(Buffer.from(rest, 'hex'));
    default:
      throw new Error(`a field of a row has no known tag: ${field.slice(0, 20)}`);
  }
}

/** How the fields of a column become values. */
export type FieldReader = (field: string | null) => Bound;

/** The reader for a column of this canonical type. */
export function fieldReader(format: RowFormat, type: string): FieldReader {
  if (format === 'tagged') return boundOfTagged;
  const read = TYPED.get(type);
  return read === undefined ? (field) => field : (field) => (field === null ? null : read(field));
}

const integer = (text: string): Bound => BigInt(text);
const float = (text: string): Bound => (text === 'NaN' ? text : Number(text));

const TYPED: ReadonlyMap<string, (text: string) => Bound> = new Map([
  ['smallint', integer],
  ['integer', integer],
  ['bigint', integer],
  ['oid', integer],
  ['real', float],
  ['double precision', float],
  ['boolean', (text: string): Bound => (text === 't' || text === 'true' ? 1n : 0n)],
  ['bytea', (text: string): Bound => Buffer.from(text.slice(2), 'hex')],
]);

/** The parameter as SQL. */
export const placeholder = (value: Bound): string => (value instanceof RawText ? 'CAST(? AS TEXT)' : '?');

/** The parameter as it is bound to a statement of a database of this encoding. */
export const parameter = (value: Bound, encoding: string): SqlValue =>
  value instanceof RawText ? nativeOf(value.bytes, encoding) : value;

const isWide = (encoding: string): boolean => encoding.startsWith('UTF-16');

/** The bytes of a text as UTF-8. */
function utf8Of(bytes: Buffer, encoding: string): Buffer {
  if (!isWide(encoding)) return bytes;
  return Buffer.from((encoding === 'UTF-16be' ? Buffer.from(bytes).swap16() : bytes).toString('utf16le'));
}

function nativeOf(bytes: Uint8Array, encoding: string): Uint8Array {
  if (!isWide(encoding)) return bytes;
  const wide = Buffer.from(Buffer.from(bytes).toString('utf8'), 'utf16le');
  return encoding === 'UTF-16be' ? wide.swap16() : wide;
}
