import { SpeilError } from '../../core/error.ts';
import type { RowFormat } from '../../core/table.ts';
import type { SqlServerType } from './sql-server-types.ts';

/** Why a value cannot be said in this contract. */
export class Inexpressible extends Error {}

/** Writes a field of a row, unescaped, as a value of the contract; null stays null. Throws `Inexpressible`. */
export type ValueWriter = (field: string | null) => string | null;

/** For the rows of one column. Values are marked by the column's type and never by what they look like. */
export function valueWriter(type: SqlServerType, format: RowFormat): ValueWriter {
  const write = format === 'tagged' ? taggedWriter(type) : typedWriter(type);
  return (field) => (field === null ? null : write(field));
}

type Writer = (field: string) => string;

/** PostgreSQL's text forms under the settings of `docs/types.md`. */
function typedWriter(type: SqlServerType): Writer {
  switch (type.kind) {
    case 'smallint':
      return (text) => `[S:${text}]`;
    case 'int':
    case 'bigint':
      return (text) => `[I:${text}]`;
    case 'bit':
      return (text) => (text === 't' ? '[I:1]' : '[I:0]');
    case 'float':
    case 'decimal':
      return finite;
    case 'datetime':
      return dateTime;
    case 'date':
      return (text) => dateTime(`${text} 00:00:00`);
    case 'varbinary':
      return (text) => binary(text.slice('\\x'.length), type.bytesMax);
    case 'nvarchar':
      return (text) => plainText(text, type.unitsMax);
  }
}

/** SQLite's values say themselves what they are; only those that the column's type can hold are sent. */
function taggedWriter(type: SqlServerType): Writer {
  const write = taggedAs(type);
  return (field) => write(field[0] ?? '', field.slice(1));
}

type TaggedWriter = (tag: string, text: string) => string;

function taggedAs(type: SqlServerType): TaggedWriter {
  switch (type.kind) {
    case 'bigint':
      return only('i', (text) => `[I:${text}]`);
    case 'bit':
      return only('i', truth);
    case 'float':
      return (tag, text) => (tag === 'i' ? exactInteger(text) : only('r', finite)(tag, text));
    case 'varbinary':
      return only('b', (text) => binary(text, type.bytesMax));
    case 'nvarchar':
      return (tag, text) => (/[ir]/.test(tag) ? text : only('t', (own) => plainText(own, type.unitsMax))(tag, text));
    default:
      throw new Error(`no column of SQLite is sent as ${type.text}`);
  }
}

const KINDS: Readonly<Record<string, string>> = {
  i: 'an integer',
  r: 'a floating-point number',
  t: 'text',
  b: 'a blob',
  x: 'text that is not UTF-8 or holds a NUL',
};

const only =
  (wanted: string, write: Writer): TaggedWriter =>
  (tag, text) => {
    if (tag !== wanted) throw new Inexpressible(`it is ${KINDS[tag] ?? 'of another kind'}, not ${KINDS[wanted]}`);
    return write(text);
  };

function truth(text: string): string {
  if (text !== '0' && text !== '1') throw new Inexpressible('it is neither 0 nor 1');
  return `[I:${text}]`;
}

/** Beyond this a double does not hold every integer. */
const EXACT_MAX = 2n ** 53n;

function exactInteger(text: string): string {
  const value = BigInt(text);
  if (value > EXACT_MAX || value < -EXACT_MAX) throw new Inexpressible('a float does not hold it exactly');
  return `[F:${text}]`;
}

function finite(text: string): string {
  if (!/^[+-]?[\d.]/.test(text)) throw new Inexpressible('SQL Server has no such number');
  return `[F:${text}]`;
}

const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00)?$/;
/** SQL Server's `datetime` begins here. */
const YEAR_MIN = 1753;
const FRACTION_DIGITS = 7;

function dateTime(text: string): string {
  const [, year = '', month, day, time, fraction = ''] = TIMESTAMP.exec(text) ?? [];
  if (year === '' || Number(year) < YEAR_MIN) throw new Inexpressible('a datetime is of the years 1753 to 9999');
  return `[DT:${month}/${day}/${year} ${time}.${fraction.padEnd(FRACTION_DIGITS, '0')}]`;
}

function binary(hex: string, bytesMax: number): string {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length > bytesMax) throw new Inexpressible(`it is longer than ${bytesMax} bytes`);
  return `[B:${bytes.toString('base64')}]`;
}

/** XML 1.0 has no way to write these, not even as references. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const NOT_IN_XML = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/;

export const isInXml = (text: string): boolean => !NOT_IN_XML.test(text) && text.isWellFormed();

function plainText(text: string, unitsMax: number): string {
  if (text.length > unitsMax) throw new Inexpressible(`it is longer than ${unitsMax} characters`);
  const found = NOT_IN_XML.exec(text)?.[0];
  if (found === undefined) return text;
  const code = found.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
  throw new Inexpressible(`it holds the character U+${code}, which XML cannot carry`);
}

export type RefusedValue = {
  readonly table: string;
  readonly column: string;
  readonly value: string;
  readonly why: string;
};

/** Characters of a value that are shown. */
const SHOWN_MAX = 60;

export const valueRefused = ({ table, column, value, why }: RefusedValue): SpeilError =>
  new SpeilError(
    'VALUE_REFUSED',
    `${table}.${column} holds ${shown(value)}, which SuperOffice’s contract cannot carry: ${why}`,
    { hint: 'Change the value in the source, or skip the table. The other tables are not affected.' },
  );

const shown = (value: string): string => {
  const text = JSON.stringify(value);
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}…`;
};
