import { Lsn } from '../../src/core/lsn.ts';
import type { ColumnSchema, Dialect, TableSchema } from '../../src/core/table.ts';
import type { MirrorDatabase, MirrorTransaction, WriteTarget } from '../../src/database/mirror-database.ts';
import { type Fields, RowEncoder } from '../../src/database/row-text.ts';

export const column = (name: string, type: string, more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  id: null,
  type,
  declaredType: type,
  nullable: true,
  defaultExpression: null,
  generatedAs: null,
  fill: { kind: 'value', text: null },
  ...more,
});

export const schemaOf = (columns: readonly ColumnSchema[], more: Partial<TableSchema> = {}): TableSchema => ({
  table: { schema: null, name: 't' },
  dialect: 'sqlite',
  columns,
  key: ['id'],
  identity: 'made once',
  ...more,
});

export const plainSchema = schemaOf([column('id', 'INTEGER', { nullable: false }), column('v', 'TEXT')]);
export const target = (schema: TableSchema, shadow: string | null = null): WriteTarget => ({
  schema,
  shadow,
  widened: {},
});

export const rowsOf = (dialect: Dialect, ...rows: readonly Fields[]) => {
  const encoder = new RowEncoder(1_000_000);
  for (const row of rows) encoder.add(row);
  return { ...encoder.take(), format: dialect === 'sqlite' ? ('tagged' as const) : ('typed' as const) };
};
export const tagged = (...rows: readonly Fields[]) => rowsOf('sqlite', ...rows);

export const inTransaction = <T>(mirror: MirrorDatabase, work: (tx: MirrorTransaction) => Promise<T>): Promise<T> =>
  mirror.transaction({ relaxed: true }, work);

export const position = { lsn: Lsn.of(7), token: 'token', lineage: 'sqlite:here', bookmark: null };
