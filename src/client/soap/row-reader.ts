import { SpeilError } from '../../core/error.ts';
import type { Fields } from '../../database/row-text.ts';
import type { ColumnType } from './types.ts';
import { type ValueReader, valueReader } from './values.ts';

/** A column of the mirror's table and where its values are in the rows of a batch. */
export type SentColumn = {
  readonly name: string;
  readonly nullable: boolean;
  readonly declaredType: string;
  /** Position among the values of a row. */
  readonly at: number;
  readonly type: ColumnType;
};

export type SentTable = {
  readonly table: string;
  /** Values of a row. */
  readonly sentCount: number;
  /** In the order of the mirror's table. */
  readonly columns: readonly SentColumn[];
  readonly key: readonly string[];
};

/** A net change as the mirror takes it: the operation, then its fields in format `tagged`. */
export type NetChange = { readonly key: string; readonly row: Fields };

export type RowReader = (fields: Fields) => NetChange;

type Column = SentColumn & { readonly read: ValueReader; readonly isKey: boolean };

/** Reads the rows of a batch: the operation, then the values as they were sent. Throws `VALUE_REFUSED`. */
export function batchReader({ table, sentCount, columns, key }: SentTable): RowReader {
  const readers = columns.map(
    (column): Column => ({ ...column, read: valueReader(column.type), isKey: key.includes(column.name) }),
  );
  const keyColumns = readers.filter(({ isKey }) => isKey);
  const fieldOf = (column: Column, fields: Fields) => readValue(table, column, fields[column.at + 1] ?? null);
  return (fields) => {
    const isDelete = isDeletion(table, fields[0] ?? '');
    if (!isDelete && fields.length !== sentCount + 1) {
      throw refused(table, `a row has ${fields.length - 1} values for ${sentCount} columns`);
    }
    const row: (string | null)[] = [isDelete ? 'D' : 'U'];
    for (const column of readers) row.push(isDelete && !column.isKey ? null : fieldOf(column, fields));
    const parts = keyColumns.map((column) => keyPart(table, column, fieldOf(column, fields)));
    return { key: parts.join('\0'), row };
  };
}

/** An insert of what is there already is an update, and the other way round: rows may come again. */
function isDeletion(table: string, operation: string): boolean {
  const letter = operation.trim().toUpperCase();
  if (letter === 'I' || letter === 'U') return false;
  if (letter === 'D') return true;
  throw refused(table, `a row has an operation that is none of I, U and D`);
}

function keyPart(table: string, { name }: Column, value: string | null): string {
  if (value === null) throw refused(table, `a row has no value in its key ${name}`);
  return value;
}

/** Nothing is the null of every type but text, where it is the empty text; it is told from null there. */
function readValue(table: string, column: Column, text: string | null): string | null {
  if (text === null) return null;
  if (text === '' && column.nullable && column.type.kind !== 'text') return null;
  const value = column.read(text);
  if (value !== undefined) return value;
  throw refused(table, `column ${column.name} came with what is no value of ${column.declaredType}`);
}

const refused = (table: string, why: string): SpeilError =>
  new SpeilError('VALUE_REFUSED', `rows for ${table} were refused: ${why}`, {
    hint: 'Nothing of the table was changed. Compare the task’s version of the contract with this client’s.',
  });
