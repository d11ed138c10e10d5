import type { ColumnSchema, Dialect } from '../../core/table.ts';

/** What a column is at the other end, in SQL Server's words, and with it how its values are written. */
export type SqlServerType =
  | { readonly kind: 'int' | 'smallint' | 'bigint' | 'bit' | 'float' | 'datetime' | 'date'; readonly text: string }
  | { readonly kind: 'decimal'; readonly text: string }
  | { readonly kind: 'nvarchar'; readonly text: string /** UTF-16 units. */; readonly unitsMax: number }
  | { readonly kind: 'varbinary'; readonly text: string; readonly bytesMax: number };

/** SQL Server indexes 900 bytes, and a key is indexed. */
const KEY_UNITS_MAX = 450;
const KEY_BYTES_MAX = 900;
/** Longer ones are `nvarchar(max)`. */
const NVARCHAR_UNITS_MAX = 4000;
const DECIMAL_DIGITS_MAX = 38;
/** A character of PostgreSQL is a code point, of which some take two of SQL Server's units. */
const UNITS_PER_CHARACTER = 2;

const plain = (kind: 'int' | 'smallint' | 'bigint' | 'bit' | 'float' | 'datetime'): SqlServerType => ({
  kind,
  text: kind,
});

/** By canonical type. What is not here is text, as the source prints it. */
const TYPES: ReadonlyMap<string, SqlServerType> = new Map([
  ['smallint', plain('smallint')],
  ['integer', plain('int')],
  ['bigint', plain('bigint')],
  ['oid', plain('bigint')],
  ['boolean', plain('bit')],
  ['real', plain('float')],
  ['double precision', plain('float')],
  ['timestamp without time zone', plain('datetime')],
  ['timestamp with time zone', plain('datetime')],
  ['date', { kind: 'date', text: 'datetime' }],
]);

export function sqlServerType({ type }: ColumnSchema, dialect: Dialect, isKey: boolean): SqlServerType {
  if (type === 'bytea') return varbinary(isKey);
  if (type.startsWith('numeric')) return numeric(type, dialect, isKey);
  const known = TYPES.get(type.replace(/\(\d+\)/, ''));
  return known ?? nvarchar(unitsOf(type), isKey);
}

/** Units that a text of the type can take; null without a bound. */
function unitsOf(type: string): number | null {
  const length = /^character(?: varying)?\((\d+)\)$/.exec(type)?.[1];
  if (length !== undefined) return Number(length) * UNITS_PER_CHARACTER;
  return type === 'uuid' ? 36 : null;
}

function nvarchar(units: number | null, isKey: boolean): SqlServerType {
  const bound = isKey ? KEY_UNITS_MAX : NVARCHAR_UNITS_MAX;
  if (units !== null && units <= bound) return { kind: 'nvarchar', text: `nvarchar(${units})`, unitsMax: units };
  return isKey
    ? { kind: 'nvarchar', text: `nvarchar(${KEY_UNITS_MAX})`, unitsMax: KEY_UNITS_MAX }
    : { kind: 'nvarchar', text: 'nvarchar(max)', unitsMax: Number.POSITIVE_INFINITY };
}

const varbinary = (isKey: boolean): SqlServerType =>
  isKey
    ? { kind: 'varbinary', text: `varbinary(${KEY_BYTES_MAX})`, bytesMax: KEY_BYTES_MAX }
    : { kind: 'varbinary', text: 'varbinary(max)', bytesMax: Number.POSITIVE_INFINITY };

/**
 * SQLite's are integers and doubles, whatever was declared. PostgreSQL's without digits have any number of them, which
 * SQL Server has no type for but text.
 */
function numeric(type: string, dialect: Dialect, isKey: boolean): SqlServerType {
  if (dialect === 'sqlite') return plain('float');
  const [, precision = '0', scale = '0'] = /^numeric\((\d+),(-?\d+)\)$/.exec(type) ?? [];
  const [digits, decimals] = [Number(precision), Number(scale)];
  const fits = digits >= 1 && digits <= DECIMAL_DIGITS_MAX && decimals >= 0 && decimals <= digits;
  return fits ? { kind: 'decimal', text: `decimal(${digits},${decimals})` } : nvarchar(null, isKey);
}

const NUMBER = /^\(*'?([+-]?\d+(?:\.\d+)?)'?\)*(?:::[\w\s"(),.]+)?$/;
const STRING = /^'((?:[^']|'')*)'(?:::[\w\s"(),[\].]+)?$/;
const TRUTH = /^'?(?:(t|true)|(f|false))'?(?:::boolean)?$/i;

/** The default as SQL Server would print it, where it is a literal; '' for none and for all others. */
export function sqlServerDefault({ defaultExpression }: ColumnSchema, { kind }: SqlServerType): string {
  if (defaultExpression === null) return '';
  const expression = defaultExpression.trim();
  switch (kind) {
    case 'varbinary':
      return '';
    case 'bit':
      return truthDefault(expression);
    case 'nvarchar':
    case 'datetime':
    case 'date':
      return textDefault(expression, kind);
    default: {
      const number = NUMBER.exec(expression)?.[1];
      return number === undefined ? '' : `default ((${number}))`;
    }
  }
}

function truthDefault(expression: string): string {
  const [found, isTrue] = TRUTH.exec(expression) ?? [];
  if (found !== undefined) return `default ((${isTrue === undefined ? 0 : 1}))`;
  return /^[01]$/.test(expression) ? `default ((${expression}))` : '';
}

function textDefault(expression: string, kind: 'nvarchar' | 'datetime' | 'date'): string {
  const text = STRING.exec(expression)?.[1] ?? NUMBER.exec(expression)?.[1];
  if (text === undefined || (kind !== 'nvarchar' && !/^\d{4}-\d\d-\d\d/.test(text))) return '';
  return `default (N'${text}')`;
}
