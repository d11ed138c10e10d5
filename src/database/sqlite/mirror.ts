import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { distinctHistories, type SourcePosition } from '../../core/position.ts';
import type { TableSchema } from '../../core/table.ts';
import type {
  AlterStep,
  MirrorDatabase,
  MirroredTable,
  MirrorHolder,
  MirrorTransaction,
  WriteTarget,
} from '../mirror-database.ts';
import type { MissingPrivilege } from '../source-database.ts';
import { Connection, fileIdentity, isWritable, realPath } from './connection.ts';
import { holdFile } from './hold.ts';
import { Metadata, tenantsIn } from './metadata.ts';
import { createSql, nameOf, shapeOf, stepSql } from './mirror-table.ts';
import { SqliteMirrorTransaction } from './mirror-transaction.ts';
import type { SqliteLocation } from './source.ts';
import { quoteName } from './sql-text.ts';
import { formsOf } from './types.ts';

export type MirrorDeps = {
  readonly clock: Clock;
  readonly random: Random;
  /** Prefix of the metadata table's name. */
  readonly tenant: string;
  /** Opens the mirror to look at it only; nothing is created. */
  readonly readOnly?: boolean;
  /** A file that is not there looks like an empty mirror: for a plan. */
  readonly mayBeMissing?: boolean;
};

/** Opens a SQLite file as a mirror, and makes the file when it is not there; its folder must be. */
export const openSqliteMirror = async (location: SqliteLocation, deps: MirrorDeps): Promise<MirrorDatabase> =>
  new SqliteMirror(location, deps);

class SqliteMirror implements MirrorDatabase {
  readonly display: string;
  readonly instance: string;
  readonly #path: string;
  readonly #readOnly: boolean;
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #metadata: Metadata;

  constructor(
    { path, display }: SqliteLocation,
    { clock, tenant, readOnly = false, mayBeMissing = false }: MirrorDeps,
  ) {
    const isNew = !existsSync(path);
    const isImagined = isNew && mayBeMissing;
    this.display = display;
    this.#readOnly = readOnly;
    this.#clock = clock;
    const access = readOnly && !isImagined ? 'read-only' : 'create';
    this.#connection = new Connection(isImagined ? ':memory:' : path, { display, access });
    this.#path = isImagined ? path : realPath(path);
    this.instance = isImagined ? `sqlite:${path}` : `sqlite:${fileIdentity(this.#path)}`;
    this.#metadata = new Metadata(this.#connection, tenant);
    if (isNew && !isImagined) this.#connection.exec('PRAGMA journal_mode=WAL');
    this.#connection.exec('PRAGMA legacy_alter_table=ON');
  }

  get isUsable(): boolean {
    return this.instance === `sqlite:${fileIdentity(this.#path)}`;
  }

  async sizeBytes(): Promise<number> {
    const files = [this.#path, `${this.#path}-wal`];
    return files.reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0);
  }

  async tenants(): Promise<readonly string[]> {
    return this.#connection.read(() => tenantsIn(this.#connection));
  }

  async hold(holder: MirrorHolder): Promise<AsyncDisposable> {
    this.#requireWritable();
    return holdFile(this.#path, this.display, holder);
  }

  async transaction<T>(
    options: { readonly relaxed: boolean },
    work: (tx: MirrorTransaction) => Promise<T>,
  ): Promise<T> {
    this.#requireWritable();
    this.#connection.exec(`PRAGMA synchronous=${options.relaxed && this.#isWal() ? 'NORMAL' : 'FULL'}`);
    await this.#connection.beginWrite(this.#clock);
    try {
      const result = await work(new SqliteMirrorTransaction(this.#connection, this.#metadata));
      this.#commit();
      return result;
    } finally {
      this.#connection.rollback();
    }
  }

  /** An error that was caught inside may have ended the transaction: then nothing of it is there. */
  #commit(): void {
    if (this.#connection.inTransaction) {
      this.#connection.exec('COMMIT');
      return;
    }
    throw new SpeilError('DISK_FULL', `${this.display} could not be written, and the transaction was undone.`, {
      recovery: 'retry',
      hint: 'Free some space; nothing is lost.',
    });
  }

  #isWal(): boolean {
    return this.#connection.value('PRAGMA journal_mode') === 'wal';
  }

  async check(): Promise<readonly MissingPrivilege[]> {
    const file = existsSync(this.#path) ? [this.#path] : [];
    return [...file, dirname(this.#path)]
      .filter((place) => !isWritable(place))
      .map((place) => ({ what: `write ${place}`, grant: `chmod u+w '${place}'`, required: true }));
  }

  describeCreate(target: WriteTarget): readonly string[] {
    return [createSql(nameOf(target), shapeOf(target.schema))];
  }

  describeAlter(target: WriteTarget, step: AlterStep): readonly string[] {
    const name = nameOf(target);
    return [
      stepSql(name, target.schema, step) ?? `-- ${step.kind}: ${quoteName(name)} is written anew in its new shape`,
    ];
  }

  describeForms(schema: TableSchema): readonly string[] {
    return formsOf(schema);
  }

  async heldHistories(): Promise<readonly SourcePosition[]> {
    const rows = await this.readMetadata();
    return distinctHistories(
      rows.flatMap((row) => [row.position, row.copy?.start ?? null].filter((held) => held !== null)),
    );
  }

  async readMetadata(): Promise<readonly MirroredTable[]> {
    return this.#connection.read(() => this.#metadata.read());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.rollback();
    this.#connection[Symbol.dispose]();
  }

  #requireWritable(): void {
    if (!this.#readOnly) return;
    throw new SpeilError('READ_ONLY', `${this.display} was opened to look at it only.`, {
      hint: 'Open the mirror without readOnly.',
    });
  }
}
