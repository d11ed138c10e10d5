import { createHash } from 'node:crypto';
import type { ColumnSchema, TableSchema } from './table.ts';

/**
 * The hash that task and mirror compare: equal means that the mirror's table needs no change. What only says how to get
 * from one schema to the next (`fill`) and what is not schema (`identity`) is left out.
 */
export function schemaHash(schema: TableSchema): string {
  const essence = [schema.dialect, schema.key, schema.columns.map(columnEssence)];
  return createHash('sha256').update(JSON.stringify(essence)).digest('hex').slice(0, 32);
}

const columnEssence = (column: ColumnSchema): readonly unknown[] => [
  column.name,
  column.id,
  column.type,
  column.declaredType,
  column.nullable,
  column.defaultExpression,
  column.generatedAs,
];
