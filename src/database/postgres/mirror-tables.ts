import { SpeilError } from '../../core/error.ts';
import type { ColumnSchema, TableName, TableSchema } from '../../core/table.ts';
import type { AlterStep, WriteTarget } from '../mirror-database.ts';
import { ident, identList, literal } from './sql.ts';
import { textFor } from './tagged-rows.ts';

/** The name of the table or shadow that is written, in the mirror. */
export const targetName = ({ schema, shadow }: WriteTarget): TableName =>
  shadow === null ? schema.table : { schema: schema.table.schema, name: shadow };

/** How the mirror spells names and types; types that its version does not have become text. */
export type MirrorDialect = {
  readonly qualify: (table: TableName) => string;
  readonly hasType: (type: string) => boolean;
};

export const mirrorType = (column: ColumnSchema, target: WriteTarget, dialect: MirrorDialect): string =>
  target.widened[column.name] ?? (dialect.hasType(column.type) ? column.type : 'text');

export function createTableSql(
  target: WriteTarget,
  dialect: MirrorDialect,
  options: { defaults: boolean; key: boolean },
): string {
  const { schema } = target;
  const columns = schema.columns.map((column) => columnSql(column, target, dialect, options.defaults));
  const key = options.key && schema.key.length > 0 ? [`PRIMARY KEY (${identList(schema.key)})`] : [];
  return `CREATE TABLE ${dialect.qualify(targetName(target))} (\n  ${[...columns, ...key].join(',\n  ')}\n)`;
}

function columnSql(column: ColumnSchema, target: WriteTarget, dialect: MirrorDialect, defaults: boolean): string {
  const type = mirrorType(column, target, dialect);
  const value = defaults ? defaultSql(column, target.schema, type) : null;
  return [ident(column.name), type, column.nullable ? '' : 'NOT NULL', value === null ? '' : `DEFAULT ${value}`]
    .filter((word) => word !== '')
    .join(' ');
}

/** The default where it means the same here; null for none. */
export function defaultSql(column: ColumnSchema, schema: TableSchema, type: string): string | null {
  const expression = column.defaultExpression;
  if (expression === null) return null;
  if (schema.dialect === 'postgres') return type === column.type ? expression : null;
  return schema.dialect === 'sqlite' ? sqliteDefault(expression.trim(), type) : literalDefault(expression, type);
}

/** One literal that the column's type can hold: a number, or a text in quotes. */
function literalDefault(expression: string, type: string): string {
  if (type === 'boolean') return expression === '0' ? 'false' : 'true';
  if (expression.startsWith("'")) return literal(expression.slice(1, -1).replaceAll("''", "'"));
  return type === 'text' ? literal(expression) : expression;
}

/** Literals of SQLite, by the type of the column; its functions (`CURRENT_TIMESTAMP` is text there) are left out. */
function sqliteDefault(expression: string, type: string): string | null {
  const bare = expression.replace(/^\((.*)\)$/s, '$1').trim();
  if (/^null$/i.test(bare)) return null;
  const isNumber = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(bare);
  if (type === 'boolean') return /^(0|false)$/i.test(bare) ? 'false' : /^(1|true)$/i.test(bare) ? 'true' : null;
  if (type === 'bigint') return /^[+-]?\d{1,18}$/.test(bare) ? bare : null;
  if (type === 'numeric' || type === 'double precision') return isNumber ? bare : null;
  if (type !== 'text') return null;
  if (isNumber) return literal(bare);
  return /^'(?:[^']|'')*'$/.test(bare) ? literal(bare.slice(1, -1).replaceAll("''", "'")) : null;
}

/** Statements of a step. `schema` of a key step is the new one, whose names are in force by then. */
export function alterSql(target: WriteTarget, step: AlterStep, dialect: MirrorDialect): readonly string[] {
  const table = `ALTER TABLE ${dialect.qualify(targetName(target))}`;
  switch (step.kind) {
    case 'rename-column':
      return [`${table} RENAME COLUMN ${ident(step.from)} TO ${ident(step.to)}`];
    case 'drop-column':
      return [`${table} DROP COLUMN ${ident(step.name)}`];
    case 'add-column':
      return addColumnSql(table, target, step, dialect);
    case 'set-default': {
      const value = defaultSql(step.column, target.schema, mirrorType(step.column, target, dialect));
      return [
        `${table} ALTER COLUMN ${ident(step.column.name)} ${value === null ? 'DROP DEFAULT' : `SET DEFAULT ${value}`}`,
      ];
    }
    case 'set-nullable':
      return [`${table} ALTER COLUMN ${ident(step.column.name)} DROP NOT NULL`];
    case 'set-not-null':
      return [`${table} ALTER COLUMN ${ident(step.column.name)} SET NOT NULL`];
  }
}

/** The fill in this engine's words. Throws when the type cannot hold it: then the table has to be copied again. */
function fillText(column: ColumnSchema, { schema }: WriteTarget, type: string, fill: string): string {
  const text =
    schema.dialect === 'postgres' ? fill : textFor({ type, canonicalType: column.type, keepApart: false }, fill);
  if (text !== null) return text;
  throw new SpeilError('VALUE_REFUSED', `column ${column.name} is filled with a value that its type cannot hold`, {
    recovery: 'repopulate',
  });
}

/** Old rows get the fill, new ones the default. */
function addColumnSql(
  table: string,
  target: WriteTarget,
  { column, fill }: Extract<AlterStep, { kind: 'add-column' }>,
  dialect: MirrorDialect,
): readonly string[] {
  const type = mirrorType(column, target, dialect);
  const text = fill === null ? null : fillText(column, target, type, fill);
  const filled = text === null ? '' : ` DEFAULT ${literal(text)}::${type}`;
  const value = defaultSql(column, target.schema, type);
  return [
    `${table} ADD COLUMN ${ident(column.name)} ${type}${filled}`,
    ...(fill === null && value === null
      ? []
      : [`${table} ALTER COLUMN ${ident(column.name)} ${value === null ? 'DROP DEFAULT' : `SET DEFAULT ${value}`}`]),
  ];
}
