import { SpeilError } from '../../core/error.ts';
import type { ColumnFill, ColumnSchema, TableSchema } from '../../core/table.ts';
import type { ColumnInfo, TableSchemaInfo } from './messages.ts';
import { type ColumnType, columnType, UNKNOWN_TYPE } from './types.ts';
import { valueReader } from './values.ts';

/** A table of the contract as the mirror keeps it. */
export type ReadTable = {
  readonly schema: TableSchema;
  /** Types of its columns, in their order. */
  readonly types: readonly ColumnType[];
  /** What a person should know: a type that is not known, a default that is left out. */
  readonly notes: readonly string[];
};

/** SQL Server has at most 1,024 columns in a table, 30,000 with sparse ones. */
const COLUMNS_MAX = 30_000;
/** SQL Server's own bound on names. */
const NAME_CHARS_MAX = 128;
/** Longer defaults are not looked at. */
const DEFAULT_CHARS_MAX = 4_000;

/**
 * The contract does not say what the key is. In every table of the vendor it is the first column, which is never null.
 * There is no number of a column that outlasts renaming, and no sign of a table that was made anew.
 */
export function readTable({ tableName, columns }: TableSchemaInfo): ReadTable {
  if (!isName(tableName)) throw unfit('a table', 'it has no name that a table can have');
  if (columns.length > COLUMNS_MAX) throw unfit(tableName, 'it has too many columns');
  const read = columns.map((column) => readColumn(tableName, column));
  const [first] = read;
  if (first === undefined) throw unfit(tableName, 'it has no columns');
  if (new Set(read.map(({ column }) => column.name)).size < read.length)
    throw unfit(tableName, 'two columns have the same name');
  return {
    schema: {
      table: { schema: null, name: tableName },
      dialect: 'sqlserver',
      columns: read.map(({ column }) => column),
      key: [first.column.name],
      identity: '',
    },
    types: read.map(({ type }) => type),
    notes: read.flatMap(({ notes }) => notes),
  };
}

const isName = (name: string | null): name is string =>
  name !== null && name.trim() !== '' && name.length <= NAME_CHARS_MAX && !name.includes('\0') && name.isWellFormed();

const unfit = (what: string, why: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the schema of ${what} cannot be mirrored: ${why}`, {
    hint: 'The task must send a name and columns for every table.',
  });

type ReadColumn = { readonly column: ColumnSchema; readonly type: ColumnType; readonly notes: readonly string[] };

function readColumn(table: string, { name, type, isNullable, defaultValue }: ColumnInfo): ReadColumn {
  if (!isName(name)) throw unfit(table, 'a column has no name that a column can have');
  const declaredType = (type ?? '').trim();
  const known = columnType(declaredType);
  const read = known ?? UNKNOWN_TYPE;
  const value = readDefault(defaultValue ?? '', read);
  const notes = [
    ...(known === null
      ? [`column ${name}: its type ${declaredType.slice(0, 40)} is not known; its values are texts`]
      : []),
    ...(value === undefined ? [`column ${name}: its default is left out`] : []),
  ];
  const column: ColumnSchema = {
    name,
    id: null,
    type: read.type,
    declaredType,
    nullable: isNullable,
    defaultExpression: value == null ? null : literalOf(value),
    generatedAs: null,
    fill: fillOf(isNullable, value),
  };
  return { column, type: read, notes };
}

/** What SQL Server gives to the rows that were there before: a column that may be null is null in them. */
function fillOf(isNullable: boolean, value: string | null | undefined): ColumnFill {
  if (isNullable) return { kind: 'value', text: null };
  return value == null ? { kind: 'unknown' } : { kind: 'value', text: value };
}

const DEFAULT = /^(?:default\b)?\s*([\s\S]*)$/i;
const NUMBER = /^[+-]?\d+(?:\.\d*)?$/;
const TEXT = /^N?'((?:[^']|'')*)'$/i;

/**
 * The value of a default as a field in format `tagged`: `default ((0))`, `default (N'')` and the like. Null for none,
 * undefined for what is not one literal that the column can hold.
 */
export function readDefault(spelled: string, type: ColumnType): string | null | undefined {
  if (spelled.length > DEFAULT_CHARS_MAX) return undefined;
  const expression = bare((DEFAULT.exec(spelled.trim())?.[1] ?? '').trim());
  if (expression === '' || /^null$/i.test(expression)) return null;
  const text = TEXT.exec(expression)?.[1]?.replaceAll("''", "'");
  if (text !== undefined) return fromText(text, type);
  return NUMBER.test(expression) ? fromNumber(expression, type) : undefined;
}

/** More parentheses than SQL Server puts around a default. */
const PARENTHESES_MAX = 16;

/** Without the parentheses around the whole. */
function bare(expression: string): string {
  let inner = expression;
  for (let rounds = 0; rounds < PARENTHESES_MAX && isWrapped(inner); rounds++) inner = inner.slice(1, -1).trim();
  return inner;
}

/** Does the first parenthesis close with the last character? */
function isWrapped(expression: string): boolean {
  let depth = 0;
  let isText = false;
  for (let at = 0; at < expression.length; at++) {
    const character = expression.charAt(at);
    if (character === "'") isText = !isText;
    if (isText) continue;
    depth += character === '(' ? 1 : character === ')' ? -1 : 0;
    if (depth <= 0) return character === ')' && at > 0 && at === expression.length - 1;
  }
  return false;
}

const MOMENT = /^(\d{4})-?(\d\d)-?(\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?))?$/;

/** The same words that a value would be sent in, so that the same rules hold. */
function fromText(text: string, type: ColumnType): string | undefined {
  const [, year, month, day, at = '00:00'] = MOMENT.exec(text) ?? [];
  const read = valueReader(type);
  switch (type.kind) {
    case 'text':
    case 'uuid':
      return text.includes('\0') ? undefined : read(text);
    case 'date-time':
    case 'date':
      return year === undefined ? undefined : read(`[DT:${month}/${day}/${year} ${at}]`);
    case 'time':
      return read(`[T:${text}]`);
    case 'binary':
      return undefined;
    default:
      return NUMBER.test(text) ? fromNumber(text, type) : undefined;
  }
}

function fromNumber(number: string, type: ColumnType): string | undefined {
  const read = valueReader(type);
  switch (type.kind) {
    case 'integer':
    case 'boolean':
      return read(`[I:${number}]`);
    case 'float':
    case 'exact':
      return read(`[F:${number}]`);
    case 'text':
      return read(number);
    default:
      return undefined;
  }
}

/** The literal of a field, as every engine reads it. */
function literalOf(field: string): string {
  const value = field.slice(1);
  return field.startsWith('t') ? `'${value.replaceAll("'", "''")}'` : value;
}
