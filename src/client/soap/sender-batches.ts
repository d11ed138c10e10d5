import { BarePosition } from '../../core/bare-position.ts';
import type { Lsn } from '../../core/lsn.ts';
import { RowCounts } from '../../core/row-batch.ts';
import { decodeRows, type Fields } from '../../database/row-text.ts';
import type { RowBatch } from '../../task/contract.ts';
import type { RowData, RowDataBatch } from './messages.ts';
import type { SentColumn, SentTable } from './sender-table.ts';
import { Inexpressible, valueRefused } from './sql-server-values.ts';

/** Rows of one table in one call. */
export type Piece = {
  readonly table: SentTable;
  readonly data: readonly RowData[];
  /** Only in the last piece of a table's changes. */
  readonly position: { readonly lsn: Lsn; readonly number: bigint } | null;
  /** All rows of the receiver's table go before these. */
  readonly wipeFirst: boolean;
  /** About what it takes in the call. */
  readonly bytes: number;
};

/** What a receiver reads where the element is missing, and therefore what says "none". */
const NO_LSN_YET = 0n;

export const batchOf = ({ table, data, position }: Piece): RowDataBatch => ({
  data,
  lsn: position?.number ?? NO_LSN_YET,
  tableInfo: table.info,
});

/** Counted from what is sent: the receiver does not say what it did. */
export const countsOf = ({ data }: Piece): RowCounts => {
  const deleted = data.reduce((count, { operation }) => count + Number(operation === 'D'), 0);
  return { ...RowCounts.none, inserted: data.length - deleted, deleted };
};

/** XML around a value, a row, a column of a batch's schema, and a batch. */
const VALUE_BYTES = 24;
const ROW_BYTES = 90;
const COLUMN_BYTES = 170;
const BATCH_BYTES = 150;

const ESCAPED = /[&<>\r]/g;
/** `&amp;` for `&`. */
const ESCAPE_BYTES = 4;

const bytesOf = (value: string | null): number =>
  VALUE_BYTES + (value === null ? 0 : Buffer.byteLength(value) + ESCAPE_BYTES * (value.match(ESCAPED)?.length ?? 0));

const rowBytes = ({ columnValues }: RowData): number =>
  columnValues.reduce((sum, value) => sum + bytesOf(value), ROW_BYTES);

/**
 * A task's batch in pieces of about `bytesMax` as they are in the call; a larger row goes alone. Nothing is left out:
 * throws `VALUE_REFUSED` for the whole batch when a value cannot be said in this contract.
 */
export function piecesOf(table: SentTable, batch: RowBatch, bytesMax: number): readonly Piece[] {
  const rows = rowsOf(table, batch);
  const around = BATCH_BYTES + COLUMN_BYTES * table.columns.length;
  const groups = cut(rows, bytesMax - around);
  const { phase } = batch;
  const position = phase.kind === 'changes' ? phase.position : null;
  const wipeFirst = phase.kind === 'changes' && phase.truncateFirst;
  if (groups.length === 0 && (position !== null || wipeFirst)) groups.push({ data: [], bytes: 0 });
  return groups.map(({ data, bytes }, index) => ({
    table,
    data,
    position:
      position !== null && index === groups.length - 1
        ? { lsn: position.lsn, number: BarePosition.toNumber(position, table.shapes[0]) }
        : null,
    wipeFirst: wipeFirst && index === 0,
    bytes: around + bytes,
  }));
}

type Group = { readonly data: RowData[]; bytes: number };

function cut(rows: Iterable<RowData>, bytesMax: number): Group[] {
  const groups: Group[] = [];
  for (const row of rows) {
    const bytes = rowBytes(row);
    const last = groups.at(-1);
    if (last !== undefined && last.bytes + bytes <= bytesMax) {
      last.data.push(row);
      last.bytes += bytes;
    } else groups.push({ data: [row], bytes });
  }
  return groups;
}

/**
 * Every row that is there is sent as `I`, also one that may have been there before: receivers must take rows that come
 * again, so `I` sets a row to what it is now, while `U` of a row that a receiver lacks would be lost.
 */
function* rowsOf(table: SentTable, batch: RowBatch): Generator<RowData, void, undefined> {
  const isCopy = batch.phase.kind === 'copy';
  for (const fields of decodeRows(batch.rows)) {
    const isDelete = !isCopy && fields[0] === 'D';
    yield { columnValues: valuesOf(table, isCopy ? fields : fields.slice(1)), operation: isDelete ? 'D' : 'I' };
  }
}

const valuesOf = (table: SentTable, fields: Fields): readonly (string | null)[] =>
  table.columns.map((column) => {
    const field = fields[column.field] ?? null;
    try {
      return column.write(field);
    } catch (error) {
      if (!(error instanceof Inexpressible)) throw error;
      throw refusal(table, column, field ?? '', error.message);
    }
  });

const refusal = (table: SentTable, column: SentColumn, field: string, why: string) =>
  valueRefused({
    table: table.name,
    column: column.name,
    value: table.schema.dialect === 'sqlite' ? field.slice(1) : field,
    why,
  });

/** Gathers pieces into calls of about `bytesMax`, in their order. */
export function* callsOf(pieces: Iterable<Piece>, bytesMax: number): Generator<readonly Piece[], void, undefined> {
  let call: Piece[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    if (call.length > 0 && bytes + piece.bytes > bytesMax) {
      yield call;
      call = [];
      bytes = 0;
    }
    call.push(piece);
    bytes += piece.bytes;
  }
  if (call.length > 0) yield call;
}
