import { createHash } from 'node:crypto';
import { SpeilError } from '../../core/error.ts';
import type { RowBytes, RowCounts } from '../../core/row-batch.ts';
import { TableName, type TableSchema } from '../../core/table.ts';
import type { WriteResult, WriteTarget } from '../mirror-database.ts';
import { nextRowEnd } from '../row-text.ts';
import type { PostgresConnection } from './connection.ts';
import { type MirrorDialect, mirrorType, targetName } from './mirror-tables.ts';
import { ident, identList } from './sql.ts';
import { type ColumnWriter, keepsKindsApart, typedRows, widenSql } from './tagged-rows.ts';

/** Everything that writing rows needs. */
export type Writer = { readonly connection: PostgresConnection; readonly dialect: MirrorDialect };

/** Adds rows of a copy: straight into a shadow, which has no key yet. */
export async function loadRows(writer: Writer, target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
  if (target.shadow === null && target.schema.key.length > 0) return applyRows(writer, target, withOperation(rows));
  const fitted = await fitRows(writer, target, rows, 0);
  const table = writer.dialect.qualify(targetName(target));
  const columns = identList(target.schema.columns.map((column) => column.name));
  const inserted = await copyIn(writer, `COPY ${table} (${columns}) FROM STDIN`, fitted.bytes, target);
  return { counts: { inserted, updated: 0, deleted: 0 }, widened: fitted.target.widened };
}

/**
 * Applies net changes as a set: into a stage of this session, then a DELETE, an UPDATE, and an INSERT of what was not
 * there to be updated. A row whose values did not change is written all the same; comparing would cost more than it saves.
 */
export async function applyRows(writer: Writer, target: WriteTarget, rows: RowBytes): Promise<WriteResult> {
  const fitted = await fitRows(writer, target, rows, 1);
  const { connection, dialect } = writer;
  const { schema } = target;
  const stage = ensureStage(writer, fitted.target);
  const deletes = countDeletes(rows.rows);
  const application: Application = {
    table: dialect.qualify(targetName(target)),
    stage,
    schema,
    deletes,
    upserts: rows.rowCount - deletes,
  };
  await copyIn(writer, `COPY ${stage} FROM STDIN`, fitted.bytes, target);
  connection.post(`SAVEPOINT speil_apply; ${PROBE_BY_KEY}`);
  const counts = await upsert(connection, application).catch(async (error: unknown) => {
    if (!(error instanceof SpeilError) || error.code !== 'KEY_VIOLATED') throw error;
    await connection.query('ROLLBACK TO SAVEPOINT speil_apply');
    return replace(connection, application, error);
  });
  connection.post(`RELEASE SAVEPOINT speil_apply; ${PROBE_AS_PLANNED}; TRUNCATE ${stage}`);
  return { counts, widened: fitted.target.widened };
}

/**
 * A stage is never larger than a batch, so its rows are looked up one by one through the key. The planner, which knows
 * nothing of the stage, might read all of a table of a million rows instead, for every batch.
 */
const PROBE_BY_KEY = 'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off';
const PROBE_AS_PLANNED = 'SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT';

type Application = {
  readonly table: string;
  readonly stage: string;
  readonly schema: TableSchema;
  /** Rows of the stage, by their operation. */
  readonly deletes: number;
  readonly upserts: number;
};

const DELETE = 'D'.charCodeAt(0);

function countDeletes(rows: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < rows.length; at = nextRowEnd(rows, at)) {
    if (rows[at] === DELETE) count++;
  }
  return count;
}

/** To update first and to insert what is left over is cheaper than INSERT … ON CONFLICT DO UPDATE of all. */
async function upsert(connection: PostgresConnection, application: Application): Promise<RowCounts> {
  const { deletes, upserts } = application;
  const deleted = deletes === 0 ? 0 : await deleteStaged(connection, application, 'D');
  const updated = upserts === 0 ? 0 : await updateStaged(connection, application);
  const inserted = updated === upserts ? 0 : await insertStaged(connection, application, true);
  return { inserted, updated, deleted };
}

/**
 * Rows that trade the values of a unique index of the owner cannot be written one after the other: all go out first. Not
 * where a foreign key of the owner points at the table, since its actions would reach rows that are not ours.
 */
async function replace(
  connection: PostgresConnection,
  application: Application,
  error: SpeilError,
): Promise<RowCounts> {
  const { table } = application;
  const { referenced } = await connection.one<{ referenced: boolean }>(
    "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = to_regclass($1)) AS referenced",
    [table],
  );
  if (referenced) throw error;
  const deleted = await deleteStaged(connection, application, 'D');
  const updated = await deleteStaged(connection, application, 'U');
  const total = await insertStaged(connection, application, false);
  return { inserted: total - updated, updated, deleted };
}

/** Deletes the rows with the keys of this operation. */
const deleteStaged = (
  connection: PostgresConnection,
  application: Application,
  operation: 'U' | 'D',
): Promise<number> =>
  connection.execute(
    `DELETE FROM ${application.table} t USING ${application.stage} s WHERE ${stagedRow(application, operation)}`,
  );

/** Also the key is set: equal keys may be spelled differently. */
function updateStaged(connection: PostgresConnection, application: Application): Promise<number> {
  const { table, stage, schema } = application;
  const values = schema.columns.map(({ name }) => `${ident(name)} = s.${ident(name)}`).join(', ');
  return connection.execute(`UPDATE ${table} t SET ${values} FROM ${stage} s WHERE ${stagedRow(application, 'U')}`);
}

const stagedRow = ({ schema }: Application, operation: 'U' | 'D'): string =>
  [
    `s.${operationColumn(schema)} = '${operation}'`,
    ...schema.key.map((name) => `t.${ident(name)} = s.${ident(name)}`),
  ].join(' AND ');

/** Inserts all rows that are not deletes, but for those whose key is there already where that is to be so. */
function insertStaged(
  connection: PostgresConnection,
  { table, stage, schema }: Application,
  keyMayBeThere: boolean,
): Promise<number> {
  const names = identList(schema.columns.map((column) => column.name));
  const conflict = keyMayBeThere ? ` ON CONFLICT (${identList(schema.key)}) DO NOTHING` : '';
  return connection.execute(
    `INSERT INTO ${table} (${names}) SELECT ${names} FROM ${stage} WHERE ${operationColumn(schema)} = 'U'${conflict}`,
  );
}

/** Rows of a copy as net changes: each with the operation in front. */
function withOperation(rows: RowBytes): RowBytes {
  const lines = Buffer.from(rows.rows)
    .toString('latin1')
    .replace(/^(?=.)|\n(?=.)/gs, (end) => `${end}U\t`);
  return { ...rows, rows: Buffer.from(lines, 'latin1') };
}

async function copyIn(writer: Writer, sql: string, bytes: Uint8Array, target: WriteTarget): Promise<number> {
  try {
    return bytes.length === 0 ? 0 : await writer.connection.copyIn(sql, bytes);
  } catch (error) {
    if (!(error instanceof SpeilError) || error.code !== 'VALUE_REFUSED') throw error;
    throw new SpeilError(
      'VALUE_REFUSED',
      `the mirror refuses a value of ${TableName.toText(target.schema.table)}: ${error.message}`,
      {
        hint: error.hint ?? undefined,
        recovery: error.recovery,
        cause: error,
      },
    );
  }
}

/** A name that no column of the table has. */
function operationColumn({ columns }: TableSchema): string {
  let name = 'speil_op';
  while (columns.some((column) => column.name === name)) name += '_';
  return name;
}

/** A temporary table like the target, with the operation in front. It lives as long as the session. */
function ensureStage(writer: Writer, target: WriteTarget): string {
  const columns = target.schema.columns.map(
    (column) => `${ident(column.name)} ${mirrorType(column, target, writer.dialect)}`,
  );
  const definition = `(${operationColumn(target.schema)} "char", ${columns.join(', ')})`;
  const id = createHash('sha256')
    .update(TableName.toText(targetName(target)) + definition)
    .digest('hex')
    .slice(0, 20);
  const stage = `pg_temp.speil_stage_${id}`;
  writer.connection.post(`CREATE TEMP TABLE IF NOT EXISTS speil_stage_${id} ${definition}`);
  return stage;
}

type Fitted = { readonly bytes: Uint8Array; readonly target: WriteTarget };

/**
 * Rows that this engine's loader reads. Typed rows are taken as they are. Values of SQLite are spelled by the type of
 * their column, and where one does not fit, the column becomes text first: no value is ever dropped.
 */
async function fitRows(writer: Writer, target: WriteTarget, rows: RowBytes, leadingFields: number): Promise<Fitted> {
  if (rows.format === 'typed') return { bytes: rows.rows, target };
  const writers = (widened: Readonly<Record<string, string>>): ColumnWriter[] =>
    target.schema.columns.map((column) => ({
      name: column.name,
      type: mirrorType(column, { ...target, widened }, writer.dialect),
      canonicalType: column.type,
      keepApart: keepsKindsApart(column, target.schema),
    }));
  const first = typedRows(rows.rows, writers(target.widened), leadingFields);
  if (first.misfits.length === 0) return { bytes: first.bytes, target };
  const widened = { ...target.widened, ...Object.fromEntries(first.misfits.map(({ name }) => [name, 'text'])) };
  const table = writer.dialect.qualify(targetName(target));
  for (const column of first.misfits) await writer.connection.query(widenSql(table, column));
  return { bytes: typedRows(rows.rows, writers(widened), leadingFields).bytes, target: { ...target, widened } };
}
