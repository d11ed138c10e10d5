import type { ColumnSchema, TableSchema } from '../../core/table.ts';
import { decodeRows, escapeField } from '../row-text.ts';
import { ident } from './sql.ts';

/** `type` is the column's type in the mirror, `canonicalType` the one that the source gave it. */
export type ColumnWriter = {
  readonly name: string;
  readonly type: string;
  readonly canonicalType: string;
  /** See {@link keepsKindsApart}. */
  readonly keepApart: boolean;
};

/**
 * A key column without a type can hold the number 1 and the text '1' in two rows. Were both spelled alike, one row would
 * take the other's place; so in such a column text that looks like a number gets a backslash in front.
 */
export const keepsKindsApart = ({ name, type, declaredType }: ColumnSchema, { key, dialect }: TableSchema): boolean =>
  dialect === 'sqlite' && key.includes(name) && (declaredType === '' || type === 'bytea');

export type TypedRows = {
  readonly bytes: Uint8Array;
  /** Columns whose type cannot hold one of their values; the bytes are then of no use. */
  readonly misfits: readonly ColumnWriter[];
};

/**
 * Tagged values (see `RowFormat`) as COPY text for columns of these types. The rule (docs/types.md):
 * a value that its column's type can hold is that value; otherwise the column must become text. In a text column
 * numbers are decimal text, blobs and text that PostgreSQL cannot hold (a NUL, invalid UTF-8) are `\x` and hex, and
 * text that itself looks like that gets one more backslash in front.
 */
export function typedRows(tagged: Uint8Array, columns: readonly ColumnWriter[], leadingFields: number): TypedRows {
  const misfits = new Set<ColumnWriter>();
  const lines: string[] = [];
  for (const fields of decodeRows(tagged)) {
    const line = fields.map((field, index) => {
      const column = columns[index - leadingFields];
      if (field === null) return '\\N';
      if (column === undefined) return escapeField(field);
      const text = textFor(column, field);
      if (text === null) misfits.add(column);
      return escapeField(text ?? '');
    });
    lines.push(line.join('\t'));
  }
  const bytes = Buffer.from(lines.length === 0 ? '' : `${lines.join('\n')}\n`);
  return { bytes, misfits: [...misfits] };
}

/** The value as PostgreSQL's text for the column's type; null when the type cannot hold it. */
export function textFor(column: Omit<ColumnWriter, 'name'>, tagged: string): string | null {
  const tag = tagged.charAt(0);
  const value = tagged.slice(1);
  switch (column.type) {
    case 'bigint':
      return tag === 'i' ? value : null;
    case 'boolean':
      return tag === 'i' && (value === '0' || value === '1') ? (value === '1' ? 't' : 'f') : null;
    case 'double precision':
      return tag === 'r' || (tag === 'i' && isExactDouble(value)) ? value : null;
    case 'numeric':
      return tag === 'i' || (tag === 'r' && !value.endsWith('Infinity')) ? value : null;
    case 'bytea':
      return tag === 'b' ? `\\x${value}` : null;
    default:
      return withinLimit(inText(tag, value, column), column.type);
  }
}

/** Types that cut or round what is longer than they are declared, which no value may suffer. */
const LIMITED = /^(character varying|timestamp|time)(?:\((\d+)\))?/;
/** Digits of a second's fraction, where a type says nothing of them. */
const FRACTION_DIGITS = 6;

function withinLimit(text: string, type: string): string | null {
  if (type === 'text') return text;
  const [, kind, limit] = LIMITED.exec(type) ?? [];
  if (kind === undefined) return text;
  if (kind === 'character varying') return limit === undefined || hasLength(text, Number(limit)) ? text : null;
  const fraction = text.length - (text.indexOf('.') + 1 || text.length);
  return fraction <= Number(limit ?? FRACTION_DIGITS) ? text : null;
}

/** PostgreSQL counts characters, not UTF-16 units. */
const hasLength = (text: string, max: number): boolean => text.length <= max || Array.from(text).length <= max;

const isExactDouble = (digits: string): boolean => BigInt(Number(digits)) === BigInt(digits);

const HEX_LIKE = /^\\+x(?:[0-9a-f]{2})*$/;
const NUMBER = /^-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|Infinity)$/;

/** Text, backslashes in front aside, that is just what some number is spelled as: `1`, not `01` or `1.50`. */
function isNumberSpelling(text: string): boolean {
  const bare = text.replace(/^\\+/, '');
  if (!NUMBER.test(bare)) return false;
  return /^-?\d+$/.test(bare) ? BigInt(bare).toString() === bare : float8Text(bare) === bare;
}

function inText(tag: string, value: string, { canonicalType, keepApart }: Omit<ColumnWriter, 'name'>): string {
  if (tag === 'b' || tag === 'x') return `\\x${value}`;
  if (tag === 'r') return canonicalType === 'numeric' ? numericText(value) : float8Text(value);
  const isAmbiguous = tag === 't' && (HEX_LIKE.test(value) || (keepApart && isNumberSpelling(value)));
  return isAmbiguous ? `\\${value}` : value;
}

/** Digits and decimal exponent of a finite number: 12.5 is `125` and 1. */
function scientific(value: string): { readonly sign: string; readonly digits: string; readonly exponent: number } {
  const [mantissa = '0', exponent = '0'] = Number(value).toExponential().split('e');
  const sign = Object.is(Number(value), -0) || mantissa.startsWith('-') ? '-' : '';
  return { sign, digits: mantissa.replace(/[-.]/g, ''), exponent: Number(exponent) };
}

/** A double as PostgreSQL prints it: shortest digits, with an exponent below 1e-4 and from 1e15 on. */
export function float8Text(value: string): string {
  if (value.endsWith('Infinity')) return value;
  const { sign, digits, exponent } = scientific(value);
  if (exponent >= -4 && exponent < 15) return sign + plain(digits, exponent);
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
  const power = String(Math.abs(exponent)).padStart(2, '0');
  return `${sign}${digits.charAt(0)}${fraction}e${exponent < 0 ? '-' : '+'}${power}`;
}

/** The same number as PostgreSQL's `numeric` prints it: never with an exponent. */
function numericText(value: string): string {
  if (value.endsWith('Infinity')) return value;
  const { sign, digits, exponent } = scientific(value);
  return (digits === '0' ? '' : sign) + plain(digits, exponent);
}

function plain(digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const fraction = digits.slice(exponent + 1);
  return fraction === '' ? whole : `${whole}.${fraction}`;
}

/** Values that are already there keep the spelling that SQLite gave them. */
export function widenSql(table: string, { name, type }: ColumnWriter): string {
  const column = ident(name);
  const spelled = type === 'boolean' ? `(${column}::int)::text` : `${column}::text`;
  return `ALTER TABLE ${table} ALTER COLUMN ${column} DROP DEFAULT, ALTER COLUMN ${column} TYPE text USING ${spelled}`;
}
