import { SpeilError } from '../../core/error.ts';
import { schemaHash } from '../../core/schema-hash.ts';
import { type ColumnSchema, rowFormatOf, TableName, type TableSchema } from '../../core/table.ts';
import type { ColumnInfo, TableSchemaInfo } from './messages.ts';
import { type SqlServerType, sqlServerDefault, sqlServerType } from './sql-server-types.ts';
import { isInXml, type ValueWriter, valueWriter } from './sql-server-values.ts';

/** A table as it is sent: its key is the first column, because the receiver takes the first column for the key. */
export type SentTable = {
  readonly schema: TableSchema;
  readonly schemaHash: string;
  readonly name: string;
  readonly info: TableSchemaInfo;
  readonly columns: readonly SentColumn[];
  /**
   * What it is now, and before that what it may have been when only columns came that are null in every row that was
   * there: a receiver adds those in place. All else that changes a table's columns shows in the shape: a receiver knows
   * columns by their names, and cannot know what a new one holds.
   */
  readonly shapes: readonly [string, ...string[]];
};

export type SentColumn = {
  readonly name: string;
  /** Which field of the source's rows it is, from 0. */
  readonly field: number;
  readonly write: ValueWriter;
};

/** Throws `TABLE_FAILED` for a table that this contract cannot tell a receiver to mirror. */
export function sentTable(schema: TableSchema): SentTable {
  const name = TableName.toText(schema.table);
  const [key, ...more] = schema.key;
  if (key === undefined) throw unfit(name, 'it has no key');
  if (more.length > 0) throw unfit(name, `its key has ${schema.key.length} columns`);
  const names = [name, ...schema.columns.map((column) => column.name)];
  if (!names.every(isInXml)) throw unfit(name, 'it, or a column of it, has a name that XML cannot carry');
  const twice = firstTwice(schema.columns.map((column) => column.name));
  if (twice !== undefined) throw unfit(name, `two of its columns are called ${twice}, to SQL Server`);
  const ordered = schema.columns.toSorted((a, b) => Number(b.name === key) - Number(a.name === key));
  const typed = ordered.map((column) => ({
    column,
    type: sqlServerType(column, schema.dialect, column.name === key),
  }));
  return {
    schema,
    schemaHash: schemaHash(schema),
    name,
    info: { columns: typed.map(({ column, type }) => columnInfo(column, type)), tableName: name },
    shapes: shapesOf(schema),
    columns: typed.map(({ column, type }) => ({
      name: column.name,
      field: schema.columns.indexOf(column),
      write: valueWriter(type, rowFormatOf(schema.dialect)),
    })),
  };
}

/** Columns that may have come since a mirror was last reached; with more the table is copied again. */
const ADDED_MAX = 8;

function shapesOf({ key, columns }: TableSchema): SentTable['shapes'] {
  const shapeOf = (count: number) =>
    JSON.stringify([key, columns.slice(0, count).map(({ id, name, type }) => [id, name, type])]);
  const earlier: string[] = [];
  for (let count = columns.length; earlier.length < ADDED_MAX && comesEmpty(columns[count - 1]); count--) {
    earlier.push(shapeOf(count - 1));
  }
  return [shapeOf(columns.length), ...earlier];
}

const comesEmpty = (column: ColumnSchema | undefined): boolean =>
  column?.nullable === true &&
  column.defaultExpression === null &&
  column.generatedAs === null &&
  column.fill.kind === 'value' &&
  column.fill.text === null;

const columnInfo = (column: ColumnSchema, type: SqlServerType): ColumnInfo => ({
  defaultValue: sqlServerDefault(column, type),
  isNullable: column.nullable,
  name: column.name,
  type: type.text,
});

const unfit = (table: string, why: string): SpeilError =>
  new SpeilError('TABLE_FAILED', `${table} cannot be mirrored over SuperOffice’s contract: ${why}`, {
    hint: 'Its receivers take the first column for the key. Skip the table, or give it a key of one column.',
  });

/** The first name that comes again in upper or lower case: SQL Server takes them for one. */
export function firstTwice(names: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return names.find((name) => {
    const folded = name.toLowerCase();
    if (seen.has(folded)) return true;
    seen.add(folded);
    return false;
  });
}
