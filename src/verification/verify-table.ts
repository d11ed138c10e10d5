import type { Clock } from '../core/clock.ts';
import { type ErrorReport, errorReport, SpeilError } from '../core/error.ts';
import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable } from '../database/mirror-database.ts';
import { alteredError, damagedError } from '../database/verify-errors.ts';
import { type Counted, compareAll, compareKeys, compareOpen } from './compare-table.ts';
import {
  type MirrorTable,
  pairOf,
  type SourceTable,
  type TablePair,
  type VerifyMirror,
  type VerifySource,
} from './pair.ts';
import { markForCopy, repairRows } from './repair.ts';
import { type DifferenceKind, Scratch } from './scratch.ts';

/** What was found out about one table. */
export type TableVerdict = {
  readonly table: string;
  /** Rows of the source's table that were compared, or are pending. */
  readonly rows: number;
  /** Keys that changed in the source after the mirror's position, and were left out; all rows where it is not known which. */
  readonly pending: number;
  /** At most {@link DIFFERENCES_LISTED}. */
  readonly differences: readonly { readonly key: string; readonly kind: DifferenceKind }[];
  /** Keys that differ; of a table without a key, rows. */
  readonly differenceCount: number;
  /** Differences that are no more. */
  readonly repaired: number;
  /** The position at which the rows were compared, decimal; null when they were not. */
  readonly lsn: string | null;
  /** What a person should know of a repair. */
  readonly note?: string;
  /** Why the table, or all of it, could not be compared or repaired. */
  readonly error?: ErrorReport;
};

/** How far the comparison of a table is; `ofRows` is an estimate. */
export type VerifyProgress = { readonly table: string; readonly rows: number; readonly ofRows: number };

export type VerifyContext = {
  readonly source: VerifySource;
  readonly mirror: VerifyMirror;
  /** Both are PostgreSQL servers that compute the same hash of the same text. */
  readonly sameHashes: boolean;
  /** Set when differences are to be repaired; the mirror is held then. */
  readonly repairIn: MirrorDatabase | null;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: VerifyProgress) => void;
};

export const DIFFERENCES_LISTED = 100;

type Repaired = { readonly count: number; readonly note?: string; readonly error?: ErrorReport };

/** One table on its way through a verification. */
export class TableVerification implements Disposable {
  readonly #context: VerifyContext;
  readonly #row: MirroredTable;
  readonly #scratch: Scratch;
  #counted: (Counted & { readonly lsn: string }) | null = null;
  #lastToken: string | null = null;
  #failure: ErrorReport | null = null;
  #repaired: Repaired = { count: 0 };
  #readRows = 0;
  #display: (key: string) => string = (key) => key;

  constructor(context: VerifyContext, row: MirroredTable) {
    this.#context = context;
    this.#row = row;
    this.#scratch = new Scratch({ keyed: row.schema.key.length > 0 });
  }

  /** A mirror that a task follows with gets there; one that is held stays where it is. */
  get isWaiting(): boolean {
    if (this.#context.repairIn !== null) return false;
    if (this.#counted === null) return this.#failure === null || isPassing(this.#failure);
    return this.#scratch.openCount > 0 && this.#failure === null;
  }

  /**
   * At the mirror's present position: all rows, or those that could not be compared before. What keeps the table from
   * being compared is its verdict; only an abort and `OTHER_LINEAGE` are thrown.
   */
  async compare(): Promise<void> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    try {
      this.#failure = null;
      await this.#compare();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SpeilError && error.code === 'OTHER_LINEAGE') throw error;
      this.#failure = errorReport(error);
    }
  }

  async #compare(): Promise<void> {
    if (!this.#row.exists) throw damagedError(this.#row.table, 'is gone from the mirror');
    await using mirror = await this.#context.mirror.openTable(this.#row.table);
    const { held } = mirror;
    if (held.position === null) throw notCopied(held);
    if (held.schemaHash !== this.#row.schemaHash) throw alteredError(held.table, 'was altered meanwhile');
    if (held.position.token === this.#lastToken) return;
    await using source = await this.#context.source.openTable({ ...held, position: held.position });
    if (this.#counted !== null) await compareOpen(this.#comparison(source, this.#pair(source, mirror)));
    else if (source.changed !== 'whole') await this.#compareFirst(source, mirror, held.position.lsn.toString());
    this.#lastToken = held.position.token;
  }

  async #compareFirst(source: SourceTable, mirror: MirrorTable, lsn: string): Promise<void> {
    const pair = this.#pair(source, mirror);
    this.#display = pair.display;
    this.#tellProgress(0);
    const counted = await compareAll(this.#comparison(source, pair));
    this.#counted = { ...counted, lsn };
    const { repairIn: database } = this.#context;
    if (database === null || this.#scratch.differenceCount === 0) return;
    await mirror[Symbol.asyncDispose]();
    this.#repaired = await this.#repair(database, { source, pair, held: mirror.held, mirrorRows: counted.mirrorRows });
  }

  #pair(source: SourceTable, mirror: MirrorTable): TablePair {
    const { sameHashes, signal } = this.#context;
    return pairOf({ source, mirror, schema: this.#row.schema, signal }, sameHashes);
  }

  #comparison(source: SourceTable, pair: TablePair) {
    const onRows = (rows: number) => this.#tellProgress(rows);
    return { pair, changed: source.changed, scratch: this.#scratch, expectedRows: this.#row.rows, onRows };
  }

  /** Both sides read each row. */
  #tellProgress(rows: number): void {
    this.#readRows += rows;
    const { table, rows: ofRows } = this.#row;
    this.#context.onProgress({ table: TableName.toText(table), rows: Math.floor(this.#readRows / 2), ofRows });
  }

  async #repair(
    database: MirrorDatabase,
    found: { source: SourceTable; pair: TablePair; held: MirroredTable; mirrorRows: number },
  ): Promise<Repaired> {
    if (this.#row.schema.key.length === 0) {
      await markForCopy({ database, held: found.held });
      return { count: 0, note: 'it has no key, so the next cycle copies it again' };
    }
    const { signal } = this.#context;
    const error = await repairRows({ database, scratch: this.#scratch, signal, ...found }).then(
      () => undefined,
      errorReport,
    );
    signal.throwIfAborted();
    return { count: await this.#countRepaired(found.source), ...(error === undefined ? {} : { error }) };
  }

  /** Compares the keys that differed once more. */
  async #countRepaired(source: SourceTable): Promise<number> {
    await using mirror = await this.#context.mirror.openTable(this.#row.table);
    using left = new Scratch({ keyed: true });
    const pair = this.#pair(source, mirror);
    for (const keys of this.#scratch.differingKeys('all')) await compareKeys(pair, left, keys);
    left.dropEqual();
    return this.#scratch.differenceCount - left.differenceCount;
  }

  verdict(): TableVerdict {
    const table = TableName.toText(this.#row.table);
    if (this.#counted === null) return { table, ...NOTHING, ...this.#whyNot() };
    const { count: repaired, ...told } = this.#repaired;
    return {
      table,
      rows: this.#counted.sourceRows,
      pending: this.#scratch.openCount,
      differences: this.#listed(),
      differenceCount: this.#scratch.differenceCount,
      repaired,
      lsn: this.#counted.lsn,
      ...told,
    };
  }

  #whyNot(): Pick<TableVerdict, 'pending' | 'error'> {
    if (this.#failure !== null) return { pending: 0, error: this.#failure };
    return { pending: this.#row.rows, error: errorReport(changedAsAWhole(this.#row)) };
  }

  #listed(): TableVerdict['differences'] {
    const found = this.#scratch.firstDifferences(DIFFERENCES_LISTED);
    return found.map(({ key, kind }) => ({ key: this.#display(key), kind }));
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}

/** A copy under way may complete within the next rounds. */
const isPassing = ({ code, recovery }: ErrorReport): boolean => code === 'TABLE_FAILED' && recovery === 'retry';

const NOTHING = { rows: 0, pending: 0, differences: [], differenceCount: 0, repaired: 0, lsn: null } as const;

const notCopied = ({ table, copy }: MirroredTable): SpeilError =>
  new SpeilError(
    'TABLE_FAILED',
    `${TableName.toText(table)} ${copy === null ? 'is to be copied by the next cycle' : `is being copied, ${copy.rows} rows so far`}`,
    { hint: 'Verify again when `speil status` says that it is up to date.', recovery: 'retry' },
  );

const changedAsAWhole = ({ table, schema }: MirroredTable): SpeilError => {
  const why = schema.key.length === 0 ? 'it changed and has no key' : 'it was truncated or got a new partition';
  return new SpeilError(
    'TABLE_FAILED',
    `${TableName.toText(table)} cannot be compared yet: ${why} since the mirror’s last cycle`,
    {
      hint: 'Run `speil mirror` with the same two databases, or let it follow; then verify again.',
      recovery: 'retry',
    },
  );
};
