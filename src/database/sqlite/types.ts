import { DatabaseSync } from 'node:sqlite';
import type { ColumnSchema, TableSchema } from '../../core/table.ts';
import type { SqlRow, SqlValue } from './connection.ts';
import { quoteName } from './sql-text.ts';

export type Affinity = 'INTEGER' | 'TEXT' | 'BLOB' | 'REAL' | 'NUMERIC';

/** SQLite's own rules, in their order. */
export function affinityOf(declaredType: string): Affinity {
  const type = declaredType.toUpperCase();
  if (type.includes('INT')) return 'INTEGER';
  if (/CHAR|CLOB|TEXT/.test(type)) return 'TEXT';
  if (type === '' || type.includes('BLOB')) return 'BLOB';
  if (/REAL|FLOA|DOUB/.test(type)) return 'REAL';
  return 'NUMERIC';
}

const CANONICAL: Readonly<Record<Exclude<Affinity, 'NUMERIC'>, string>> = {
  INTEGER: 'bigint',
  TEXT: 'text',
  BLOB: 'bytea',
  REAL: 'double precision',
};

/** The canonical type of a column by its declared type. Its values may be of any kind all the same. */
export function canonicalType(declaredType: string): string {
  const type = declaredType.toUpperCase().trim();
  if (type === '') return 'text';
  const affinity = affinityOf(type);
  if (affinity !== 'NUMERIC') return CANONICAL[affinity];
  if (/^BOOL(EAN)?\b/.test(type)) return 'boolean';
  return /^(DATE|TIME)/.test(type) ? 'text' : 'numeric';
}

const DECLARED: ReadonlyMap<string, string> = new Map([
  ['smallint', 'INTEGER'],
  ['integer', 'INTEGER'],
  ['bigint', 'INTEGER'],
  ['oid', 'INTEGER'],
  ['real', 'REAL'],
  ['double precision', 'REAL'],
  ['boolean', 'BOOLEAN'],
  ['bytea', 'BLOB'],
]);

/** The type that a mirror's column is declared with. */
export const declaredTypeOf = (schema: TableSchema, column: ColumnSchema): string =>
  schema.dialect === 'sqlite' ? declarable(column.declaredType) : (DECLARED.get(column.type) ?? 'TEXT');

const TEXTUAL = /^(text|character varying|character|name|"char"|citext)\b/;

/** Columns of a PostgreSQL table whose values take another form in SQLite, in words. */
export const formsOf = (schema: TableSchema): readonly string[] =>
  schema.dialect === 'sqlite' ? [] : schema.columns.flatMap(formOf);

function formOf({ name, type }: ColumnSchema): readonly string[] {
  if (type === 'boolean') return [`${name}: boolean becomes 0 or 1`];
  if (type === 'real' || type === 'double precision') return [`${name}: NaN becomes the text NaN, -0 becomes 0`];
  return DECLARED.has(type) || TEXTUAL.test(type) ? [] : [`${name}: ${type} becomes text in PostgreSQL's own form`];
}

const scratch = new DatabaseSync(':memory:', { readBigInts: true, returnArrays: true });
const PLAIN_TYPE = /^[A-Za-z_]\w*(?: \w+)*(?: ?\([\w\s,.+-]*\))?$/;

/** The declared type as SQL that declares the same again. */
function declarable(declaredType: string): string {
  if (declaredType === '') return '';
  const isPlain = PLAIN_TYPE.test(declaredType) && readsBack(declaredType);
  return isPlain ? declaredType : quoteName(declaredType);
}

function readsBack(declaredType: string): boolean {
  try {
    scratch.exec(`DROP TABLE IF EXISTS probe; CREATE TABLE probe(c ${declaredType})`);
    return firstOf("SELECT type FROM pragma_table_info('probe')") === declaredType;
  } catch {
    return false;
  }
}

/** The value that a constant default gives to a column of this declared type; undefined when the SQL is no constant. */
export function constantValue(sql: string, declaredType: string): SqlValue | undefined {
  if (!isConstant(sql)) return undefined;
  const type = declarable(declaredType);
  scratch.exec(`DROP TABLE IF EXISTS probe; CREATE TABLE probe(c ${type} DEFAULT ${sql}, d)`);
  scratch.exec('INSERT INTO probe(d) VALUES (1)');
  return firstOf('SELECT c FROM probe');
}

const firstOf = (sql: string): SqlValue | undefined =>
  (scratch.prepare(sql).get() as unknown as SqlRow | undefined)?.[0];

const CONSTANT =
  /^\s*(?:[+-]?\s*(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?0x[0-9a-f]+|null|true|false|x?'(?:[^']|'')*')\s*$/i;

/** True for the SQL of one number, text, blob, truth value or null. */
export const isConstant = (sql: string): boolean => CONSTANT.test(sql);

/** True for defaults that SQLite can compute without anything that another program would have to bring. */
export function isComputable(sql: string): boolean {
  try {
    scratch.prepare(`SELECT (${sql})`);
    return true;
  } catch {
    return false;
  }
}

const STRING_CAST = /^(E?)'((?:[^']|'')*)'(?:::[\w\s"(),[\]]+)?$/;
const NUMBER_CAST = /^\(?'?(-?\d+(?:\.\d+)?)'?\)?(?:::[\w\s"(),]+)?$/;
const NOW: Readonly<Record<string, string>> = {
  date: 'CURRENT_DATE',
  time: 'CURRENT_TIME',
  timestamp: 'CURRENT_TIMESTAMP',
};

/** A default of PostgreSQL as SQLite's; null when it is left out. */
export function defaultFromPostgres(expression: string, type: string): string | null {
  const text = expression.trim();
  if (/^null(::|$)/i.test(text)) return 'NULL';
  if (/^(now\(\)|current_timestamp|current_date|localtimestamp|transaction_timestamp\(\))(::.*)?$/i.test(text)) {
    return NOW[type.split(/[\s(]/)[0] ?? ''] ?? null;
  }
  if (type === 'boolean') return /^'?(t|true)\b/i.test(text) ? '1' : /^'?(f|false)\b/i.test(text) ? '0' : null;
  if (type === 'bytea') return blobLiteral(text);
  const number = DECLARED.has(type) ? NUMBER_CAST.exec(text)?.[1] : undefined;
  return number ?? (DECLARED.has(type) ? null : textLiteral(text));
}

function blobLiteral(text: string): string | null {
  const hex = /^'\\x([0-9a-f]*)'(::bytea)?$/i.exec(text)?.[1];
  return hex === undefined ? null : `X'${hex}'`;
}

function textLiteral(text: string): string | null {
  const string = STRING_CAST.exec(text);
  if (string !== null && string[1] === '') return `'${string[2]}'`;
  const number = NUMBER_CAST.exec(text)?.[1];
  return number === undefined ? null : `'${number}'`;
}
