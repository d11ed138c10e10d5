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

/** What a PostgreSQL mirror holds for a value of SQLite, given the type that the mirror's column has got. */
export function sqliteAsPostgres(value: string, type: string): string {
  const blank = value.indexOf(' ');
  const [storage, content] = [value.slice(0, blank), value.slice(blank + 1)];
  if (storage === 'blob' || storage === 'bytes') return `\\x${content}`;
  if (storage === 'text') return type === 'bytea' ? `\\x${Buffer.from(content).toString('hex')}` : content;
  if (type === 'boolean') return content === '0' ? 'f' : 't';
  return samePostgresForm(content, storage === 'real' ? 'double precision' : type);
}

/** Numbers that are the same number get the same text: `2`, `2.0` and `2e0`. */
export function samePostgresForm(text: string, type: string): string {
  if (FLOATS.has(type)) return String(withoutNegativeZero(Number(text)));
  return type === 'numeric' && !isInteger64(text) ? String(withoutNegativeZero(Number(text))) : text;
}

const isInteger64 = (text: string): boolean =>
  /^-?\d{1,19}$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);

const withoutNegativeZero = (value: number): number => (value === 0 ? 0 : value);
