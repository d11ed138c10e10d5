const SQLITE_INTEGERS = new Set(['smallint', 'integer', 'bigint', 'oid']);
const FLOATS = new Set(['real', 'double precision']);

/** What a SQLite mirror holds for a value that PostgreSQL prints as `text`, as the dump of SQLite spells it. */
export function postgresAsSqlite(text: string, type: string): string {
  if (SQLITE_INTEGERS.has(type)) return `integer ${text}`;
  if (FLOATS.has(type)) return text === 'NaN' ? 'text NaN' : `real ${withoutNegativeZero(Number(text))}`;
  if (type === 'boolean') return `integer ${text === 't' ? 1 : 0}`;
  if (type === 'bytea') return `blob ${text.slice(2)}`;
  return `text ${text}`;
}

/**
 * What a PostgreSQL mirror holds for a value of SQLite, given the type that the column was declared with and the type
 * that the mirror's column has got. In a text column bytes are `\\x` and hex, and text that looks like that has one
 * backslash more in front.
 */
export function sqliteAsPostgres(value: string, declared: string, type: string): string {
  const blank = value.indexOf(' ');
  const [storage, content] = [value.slice(0, blank), value.slice(blank + 1)];
  if (storage === 'blob' || storage === 'bytes') return `\\x${content}`;
  if (storage === 'text') return type === 'bytea' || content.includes('\0') ? hexOf(content) : asOneText(content);
  if (storage === 'real' && type === 'text') return isNumeric(declared) ? inDigits(content) : asFloat8(content);
  if (type === 'boolean') return content === '0' ? 'f' : 't';
  return samePostgresForm(content, storage === 'real' ? 'double precision' : type);
}

const hexOf = (text: string): string => `\\x${Buffer.from(text).toString('hex')}`;

const asOneText = (text: string): string => (/^\\+x([0-9a-f][0-9a-f])*$/.test(text) ? `\\${text}` : text);

/** Declared types whose columns are `numeric` in PostgreSQL: none of SQLite's words for other kinds stands in them. */
const isNumeric = (declared: string): boolean =>
  declared !== '' && !/INT|CHAR|CLOB|TEXT|BLOB|REAL|FLOA|DOUB|^BOOL|^DATE|^TIME/i.test(declared);

/** The shortest digits of a number that reads back the same, and the place of the point: 1.25 is `125` and 1. */
function digitsOf(text: string) {
  const [mantissa = '', exponent = ''] = Math.abs(Number(text)).toExponential().split('e');
  return { sign: text.startsWith('-') ? '-' : '', digits: mantissa.replace('.', ''), point: Number(exponent) + 1 };
}

function inDigits(text: string): string {
  if (text.endsWith('Infinity')) return text;
  const { sign, digits, point } = digitsOf(text);
  if (Number(text) === 0) return '0';
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  const rest = digits.slice(point);
  return `${sign}${digits.slice(0, point).padEnd(point, '0')}${rest === '' ? '' : `.${rest}`}`;
}

function asFloat8(text: string): string {
  const { sign, digits, point } = digitsOf(text);
  if (text.endsWith('Infinity') || (point > -4 && point <= 15)) return Number(text) === 0 ? '0' : inDigits(text);
  const power = String(Math.abs(point - 1)).padStart(2, '0');
  const rest = digits.slice(1);
  return `${sign}${digits.charAt(0)}${rest === '' ? '' : `.${rest}`}e${point < 1 ? '-' : '+'}${power}`;
}

/** Numbers that are the same number get the same text: `2`, `2.0` and `2e0`. */
export function samePostgresForm(text: string, type: string): string {
  if (FLOATS.has(type)) return String(withoutNegativeZero(Number(text)));
  return type === 'numeric' && !isInteger64(text) ? String(withoutNegativeZero(Number(text))) : text;
}

const isInteger64 = (text: string): boolean =>
  /^-?\d{1,19}$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);

const withoutNegativeZero = (value: number): number => (value === 0 ? 0 : value);
