import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import type { Lsn } from '../../core/lsn.ts';
import { RowCounts } from '../../core/row-batch.ts';
import { TableName } from '../../core/table.ts';
import type { RowBatch, RowDataResult } from '../../task/contract.ts';
import type { RowDataBatch } from './messages.ts';
import { batchOf, callsOf, countsOf, type Piece, piecesOf } from './sender-batches.ts';
import type { SentTable } from './sender-table.ts';

export type RowCalls = {
  readonly tables: ReadonlyMap<string, SentTable>;
  readonly bytesMax: number;
  /** Both throw when the client did not do it. */
  readonly wipe: (table: string) => Promise<void>;
  readonly send: (batches: readonly RowDataBatch[]) => Promise<void>;
};

type Sent = { readonly table: TableName; counts: RowCounts; lsn: Lsn | null; error: ErrorReport | null };

/** One task's call as calls of the contract, and what became of each table. */
export class RowSending {
  readonly #calls: RowCalls;
  readonly #sent = new Map<string, Sent>();

  constructor(calls: RowCalls) {
    this.#calls = calls;
  }

  async run(batches: readonly RowBatch[]): Promise<readonly RowDataResult[]> {
    const pieces = batches.flatMap((batch) => this.#prepare(batch));
    const good = pieces.filter(({ table }) => this.#of(table.schema.table).error === null);
    for (const call of callsOf(good, this.#calls.bytesMax)) await this.#send(call);
    return [...this.#sent.values()].map((sent) => ({ ...sent, notes: [] }));
  }

  #of(table: TableName): Sent {
    const name = TableName.toText(table);
    const found = this.#sent.get(name) ?? { table, counts: RowCounts.none, lsn: null, error: null };
    this.#sent.set(name, found);
    return found;
  }

  /** A value that cannot be sent is the table's own failure, and none of its rows are. */
  #prepare(batch: RowBatch): readonly Piece[] {
    const sent = this.#of(batch.table);
    if (sent.error !== null) return [];
    try {
      return piecesOf(this.#schemaOf(batch), batch, this.#calls.bytesMax);
    } catch (error) {
      sent.error = errorReport(error);
      return [];
    }
  }

  #schemaOf({ table, schemaHash }: RowBatch): SentTable {
    const found = this.#calls.tables.get(TableName.toText(table));
    if (found?.schemaHash === schemaHash) return found;
    throw new SpeilError('SCHEMA_CHANGED', `${TableName.toText(table)} has another schema than the one that was sent`, {
      hint: 'The next cycle sends the schema again.',
      recovery: 'retry',
    });
  }

  /** A client does not say which table of a call failed: so then each is sent alone. Rows may come again. */
  async #send(call: readonly Piece[]): Promise<void> {
    const good = call.filter(({ table }) => this.#of(table.schema.table).error === null);
    const byTable = [...Map.groupBy(good, ({ table }) => table.name).values()];
    if (byTable.length < 2) return this.#sendAlone(good);
    try {
      await this.#deliver(good);
    } catch (error) {
      if (!isOfOneTable(error)) throw error;
      for (const pieces of byTable) await this.#sendAlone(pieces);
    }
  }

  async #sendAlone(pieces: readonly Piece[]): Promise<void> {
    const [first] = pieces;
    if (first === undefined) return;
    try {
      await this.#deliver(pieces);
    } catch (error) {
      if (!isOfOneTable(error)) throw error;
      this.#of(first.table.schema.table).error = errorReport(error);
    }
  }

  async #deliver(pieces: readonly Piece[]): Promise<void> {
    for (const { table, wipeFirst } of pieces) if (wipeFirst) await this.#calls.wipe(table.name);
    const carried = pieces.filter(({ data, position }) => data.length > 0 || position !== null);
    if (carried.length > 0) await this.#calls.send(carried.map(batchOf));
    for (const piece of pieces) this.#record(piece);
  }

  #record(piece: Piece): void {
    const sent = this.#of(piece.table.schema.table);
    sent.counts = RowCounts.add(sent.counts, countsOf(piece));
    sent.lsn = piece.position?.lsn ?? sent.lsn;
  }
}

/** What the client said of a call; everything else is about the client as a whole. */
const isOfOneTable = (error: unknown): boolean =>
  error instanceof SpeilError && ['TABLE_FAILED', 'CONTRACT_BROKEN', 'CALL_TOO_LARGE'].includes(error.code);
