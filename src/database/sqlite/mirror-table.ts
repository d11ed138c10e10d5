import type { ColumnSchema, TableName, TableSchema } from '../../core/table.ts';
import type { AlterStep, WriteTarget } from '../mirror-database.ts';
import type { Connection } from './connection.ts';
import { quoteName } from './sql-text.ts';
import { declaredTypeOf, defaultFromPostgres, isComputable, isConstant } from './types.ts';

/** A table of a mirror as it is to be declared. `type` and `default` are SQL. */
export type MirrorShape = { readonly columns: readonly MirrorColumn[]; readonly key: readonly string[] };

export type MirrorColumn = {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly default: string | null;
};

/** SQLite has no schemas: the mirror's table of `sales.orders` is called `sales.orders`. */
export const plainName = ({ schema, name }: TableName): string => (schema === null ? name : `${schema}.${name}`);

export const targetName = ({ table, shadow }: { table: TableName; shadow: string | null }): string =>
  plainName(shadow === null ? table : { schema: table.schema, name: shadow });

/** The name under which the target's rows lie. */
export const nameOf = ({ schema, shadow }: Pick<WriteTarget, 'schema' | 'shadow'>): string =>
  targetName({ table: schema.table, shadow });

export const shapeOf = (schema: TableSchema): MirrorShape => ({
  columns: schema.columns.map((column) => mirrorColumn(schema, column)),
  key: schema.key,
});

export const mirrorColumn = (schema: TableSchema, column: ColumnSchema): MirrorColumn => ({
  name: column.name,
  type: declaredTypeOf(schema, column),
  notNull: !column.nullable,
  default: defaultOf(schema, column),
});

function defaultOf({ dialect }: TableSchema, { defaultExpression, generatedAs, type }: ColumnSchema): string | null {
  if (defaultExpression === null || generatedAs !== null) return null;
  if (dialect === 'postgres') return defaultFromPostgres(defaultExpression, type);
  return isComputable(defaultExpression) ? defaultExpression : null;
}

export function createSql(name: string, { columns, key }: MirrorShape): string {
  const parts = columns.map(columnSql);
  const primary = key.length === 0 ? [] : [`PRIMARY KEY (${key.map(quoteName).join(', ')})`];
  return `CREATE TABLE ${quoteName(name)} (\n  ${[...parts, ...primary].join(',\n  ')}\n)`;
}

function columnSql(column: MirrorColumn): string {
  const type = column.type === '' ? '' : ` ${column.type}`;
  const value =
    column.default === null ? '' : ` DEFAULT ${isPlain(column.default) ? column.default : `(${column.default})`}`;
  return `${quoteName(column.name)}${type}${column.notNull ? ' NOT NULL' : ''}${value}`;
}

const isPlain = (sql: string): boolean => isConstant(sql) || isNow(sql);
const isNow = (sql: string): boolean => /^current_(date|time|timestamp)$/i.test(sql);

/** The shape that a table of the mirror has now. */
export function readShape(connection: Connection, name: string): MirrorShape {
  const rows = connection.all(
    'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid',
    name,
  );
  const columns = rows.map((row) => ({
    name: String(row[0]),
    type: String(row[1]),
    notNull: row[2] === 1n,
    default: row[3] === null ? null : String(row[3]),
  }));
  const key = rows.filter((row) => Number(row[4]) > 0).toSorted((a, b) => Number(a[4]) - Number(b[4]));
  return { columns, key: key.map((row) => String(row[0])) };
}

/** The statement that makes a step in place; null when SQLite can only do it by writing the table anew. */
export function stepSql(name: string, schema: TableSchema, step: AlterStep): string | null {
  const table = `ALTER TABLE ${quoteName(name)}`;
  switch (step.kind) {
    case 'rename-column':
      return `${table} RENAME COLUMN ${quoteName(step.from)} TO ${quoteName(step.to)}`;
    case 'drop-column':
      return `${table} DROP COLUMN ${quoteName(step.name)}`;
    case 'add-column': {
      const column = mirrorColumn(schema, step.column);
      return canBeAdded(column) ? `${table} ADD COLUMN ${columnSql(column)}` : null;
    }
    default:
      return null;
  }
}

/** Existing rows get a new column's default, so it has to be one value. */
const canBeAdded = (column: MirrorColumn): boolean =>
  column.default === null
    ? !column.notNull
    : isConstant(column.default) && !(column.notNull && /^null$/i.test(column.default));

/** The shape after a step. */
export function shapeAfter(shape: MirrorShape, schema: TableSchema, step: AlterStep): MirrorShape {
  switch (step.kind) {
    case 'add-column':
      return { ...shape, columns: [...shape.columns, mirrorColumn(schema, step.column)] };
    case 'set-default':
      return withColumn(shape, { name: step.column.name, default: defaultOf(schema, step.column) });
    case 'set-nullable':
      return withColumn(shape, { name: step.column.name, notNull: false });
    case 'set-not-null':
      return withColumn(shape, { name: step.column.name, notNull: true });
    default:
      return shape;
  }
}

const withColumn = (shape: MirrorShape, change: Partial<MirrorColumn> & { readonly name: string }): MirrorShape => ({
  ...shape,
  columns: shape.columns.map((column) => (column.name === change.name ? { ...column, ...change } : column)),
});
