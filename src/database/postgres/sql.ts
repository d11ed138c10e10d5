import { SpeilError } from '../../core/error.ts';
import type { TableName } from '../../core/table.ts';

/** An identifier as SQL. */
export const ident = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text as an SQL literal, whatever `standard_conforming_strings` says. */
export const literal = (text: string): string => {
  if (text.includes('\0')) throw new SpeilError('VALUE_REFUSED', 'PostgreSQL has no text with a zero byte in it');
  const doubled = text.replaceAll("'", "''");
  return doubled.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
};

/** The same, or NULL. */
export const literalOrNull = (text: string | null): string => (text === null ? 'NULL' : literal(text));

/** `"schema"."name"`; the default schema is spelled out by the caller. */
export const qualified = (table: TableName, defaultSchema: string): string =>
  `${ident(table.schema ?? defaultSchema)}.${ident(table.name)}`;

export const identList = (names: readonly string[]): string => names.map(ident).join(', ');

/** A value, not null, exactly as PostgreSQL prints it. A cast to text would take the blanks at the end of a `bpchar`. */
export const textOf = (value: string): string => `(pg_catalog.concat(${value}) COLLATE pg_catalog."C")`;
