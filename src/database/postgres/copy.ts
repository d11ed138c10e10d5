import { SpeilError } from '../../core/error.ts';
import type { CopyChunk } from '../../core/row-batch.ts';
import { TableName } from '../../core/table.ts';
import { cutAtRows, withoutFirst } from '../row-chunks.ts';
import { countRows } from '../row-text.ts';
import type { CopyOptions } from '../source-database.ts';
import type { PostgresConnection } from './connection.ts';
import type { PostgresTable, StoredRelation } from './introspect.ts';
import { ident, identList } from './sql.ts';

/** Where a copy stands: heap file and next block of one relation; relations come in the order of their oids. */
type Progress = {
  readonly oid: number;
  readonly filenode: string;
  readonly block: number;
  /** Only without a key: so many rows of the range up to `end` are sent already. */
  readonly within?: { readonly end: number; readonly rows: number } | undefined;
};

/**
 * What a mirror gives back, which may be somebody else's: numbers of it become part of statements, so nothing but numbers
 * is taken.
 */
function parseProgress(text: string, table: PostgresTable): Progress | null {
  try {
    const progress = JSON.parse(text) as Progress | null;
    if (progress === null || isProgress(progress)) return progress;
  } catch {
    // Said below.
  }
  throw new SpeilError(
    'SCHEMA_CHANGED',
    `how far the copy of ${TableName.toText(table.schema.table)} is, is unreadable`,
    {
      hint: 'Its copy starts again by itself.',
      recovery: 'repopulate',
    },
  );
}

const isProgress = ({ oid, filenode, block, within }: Progress): boolean =>
  typeof filenode === 'string' &&
  [oid, block, ...(within === undefined ? [] : [within.end, within.rows])].every(isCount);

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;

/** Blocks of the first range: small, since a row may be large. Later ranges aim at the batch size. */
const FIRST_RANGE_BLOCKS = 16;
/** 64 MB of heap: enough for the largest batch, short enough for a snapshot. */
const RANGE_BLOCKS_MAX = 8192;
/** A range is at most this much larger than the one before it. */
const RANGE_GROWTH_MAX = 4;
/** A range aims a little below the chunk, so that rows of uneven size rarely cut it in two. */
const RANGE_FILL = 0.9;
/** Line pointers that fit a block of 8 kB (MaxHeapTuplesPerPage). */
const TUPLES_PER_BLOCK_MAX = 291;
/** Ranges of tuple ids are scanned in sequence from this version on; before, each tuple id is looked up. */
const TID_RANGE_SCAN_VERSION = 140000;

/**
 * All rows by ranges of heap blocks, each in one statement and so in a snapshot of its own: a copy of days holds back
 * no vacuum. A range is about one chunk. The file of the heap is looked at after each range: a rewrite moves every row.
 */
export async function* copyTable(
  connection: PostgresConnection,
  table: PostgresTable,
  options: CopyOptions,
): AsyncGenerator<CopyChunk> {
  const resumed = options.progress === null ? null : parseProgress(options.progress, table);
  const relations = table.stores.toSorted((a, b) => a.oid - b.oid);
  const rest = resumed === null ? relations : relations.filter((relation) => relation.oid >= resumed.oid);
  let last: CopyChunk = { rows: new Uint8Array(), rowCount: 0, progress: JSON.stringify(resumed), done: false };
  for (const relation of rest) {
    const from = resumed?.oid === relation.oid ? resumed : null;
    for await (const chunk of copyRelation(connection, { table, relation, from }, options)) {
      if (last.rowCount > 0) yield last;
      last = chunk;
    }
  }
  yield { ...last, done: true };
}

type RelationCopy = {
  readonly table: PostgresTable;
  readonly relation: StoredRelation;
  readonly from: Progress | null;
};

async function* copyRelation(
  connection: PostgresConnection,
  { table, relation, from }: RelationCopy,
  { chunkBytes, signal }: CopyOptions,
): AsyncGenerator<CopyChunk> {
  const { filenode, blocks } = await measure(connection, relation);
  const failIfMoved = (now: string) => {
    if (now !== (from?.filenode ?? filenode)) throw rewritten(table);
  };
  failIfMoved(filenode);
  // Inside a range the progress does not move, so that a cut repeats it and never skips a row. Repeated rows need a key
  // to be recognised by; without one the rows are counted, which holds as long as none changed: else all are sent anew.
  const isKeyless = table.schema.key.length === 0;
  let block = from?.block ?? 0;
  let within = from?.within;
  let rangeBlocks = FIRST_RANGE_BLOCKS;
  while (block < blocks) {
    signal.throwIfAborted();
    const end = within?.end ?? Math.min(block + rangeBlocks, blocks);
    const at = (next: number, part?: Progress['within']) =>
      JSON.stringify({ oid: relation.oid, filenode, block: next, within: part } satisfies Progress);
    let bytes = 0;
    let sent = within?.rows ?? 0;
    let pending: Buffer | null = null;
    const range = withoutFirst(connection.copyOut(rangeSql(connection, table, relation, block, end)), sent);
    for await (const rows of cutAtRows(range, chunkBytes)) {
      if (pending !== null) {
        sent += countRows(pending);
        yield chunkOf(pending, at(block, isKeyless ? { end, rows: sent } : undefined));
      }
      bytes += rows.length;
      pending = rows;
    }
    failIfMoved((await measure(connection, relation)).filenode);
    if (pending !== null) yield chunkOf(pending, at(end));
    rangeBlocks = nextRangeBlocks(end - block, bytes, chunkBytes);
    block = end;
    within = undefined;
  }
}

const chunkOf = (rows: Buffer, progress: string): CopyChunk => ({
  rows,
  rowCount: countRows(rows),
  progress,
  done: false,
});

/** As many blocks as would have given a chunk of the wanted size. */
export function nextRangeBlocks(blocks: number, bytes: number, chunkBytes: number): number {
  const wanted = bytes === 0 ? RANGE_BLOCKS_MAX : Math.floor((blocks * chunkBytes * RANGE_FILL) / bytes);
  return Math.max(1, Math.min(wanted, blocks * RANGE_GROWTH_MAX, RANGE_BLOCKS_MAX));
}

async function measure(connection: PostgresConnection, relation: StoredRelation) {
  const row = await connection.one<{ filenode: string | null; bytes: string }>(
    'SELECT pg_relation_filenode($1::oid)::text AS filenode, coalesce(pg_relation_size($1::oid), 0)::text AS bytes',
    [relation.oid],
  );
  return { filenode: row.filenode ?? '', blocks: Math.ceil(Number(row.bytes) / 8192) };
}

function rangeSql(
  connection: PostgresConnection,
  table: PostgresTable,
  relation: StoredRelation,
  from: number,
  to: number,
): string {
  const columns = identList(table.schema.columns.map((column) => column.name));
  const source = `SELECT ${columns} FROM ONLY ${ident(relation.schema)}.${ident(relation.name)}`;
  const range =
    connection.serverVersion >= TID_RANGE_SCAN_VERSION
      ? `ctid >= '(${from},0)'::tid AND ctid < '(${to},0)'::tid`
      : `ctid = ANY (ARRAY(SELECT format('(%s,%s)', b, i)::tid
          FROM generate_series(${from}, ${to - 1}) b, generate_series(1, ${TUPLES_PER_BLOCK_MAX}) i))`;
  return `COPY (${source} WHERE ${range}) TO STDOUT`;
}

const rewritten = (table: PostgresTable): SpeilError =>
  new SpeilError(
    'SCHEMA_CHANGED',
    `${TableName.toText(table.schema.table)} was rewritten or truncated during its copy`,
    {
      hint: 'Its copy starts again by itself.',
      recovery: 'repopulate',
    },
  );
