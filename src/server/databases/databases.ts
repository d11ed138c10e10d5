import { SpeilError } from '../../core/error.ts';
import type { Log } from '../../service/log.ts';
import { noDatabase } from '../access.ts';
import type { SqlDatabase } from '../sql.ts';
import type { DatabaseName } from './database-name.ts';
import type { DatabaseStatus, DatabaseStore, ServedDatabase } from './served-database.ts';

/** A database as administration sees it: one that could not be opened says why. */
export type DatabaseView =
  | ({ readonly name: DatabaseName } & DatabaseStatus)
  | { readonly name: DatabaseName; readonly state: 'opening' | 'failed'; readonly reason: string | null };

export type DatabasesOptions = {
  readonly store: DatabaseStore;
  readonly log: Log;
  /** What clients are given in the database's place, so that it is counted what they do. */
  readonly observed: (database: SqlDatabase) => SqlDatabase;
};

/** `sql` is what clients are given. */
export type OpenDatabase = { readonly served: ServedDatabase; readonly sql: SqlDatabase };

/** More than anyone keeps on one server; each costs some open files and a few MB of caches. */
export const DATABASES_MAX = 1_000;
/** Databases that are recovered side by side when the server starts: recovery keeps a disk and a core busy. */
const OPENED_AT_ONCE = 2;

/** The databases that a server serves. One that cannot be opened keeps none of the others from being served. */
export class Databases implements AsyncDisposable {
  readonly #options: DatabasesOptions;
  readonly #slots = new Map<DatabaseName, Slot>();
  /** Names that are being made or dropped. */
  readonly #changing = new Map<DatabaseName, Promise<unknown>>();
  #ended = false;

  constructor(options: DatabasesOptions) {
    this.#options = options;
  }

  /** Begins to open all that there are; resolves when each is served or has failed. */
  async openAll(): Promise<void> {
    const waiting = this.#options.store.list().map((name) => new Slot(name));
    for (const slot of waiting) this.#slots.set(slot.name, slot);
    const next = async (): Promise<void> => {
      for (let slot = waiting.shift(); slot !== undefined; slot = waiting.shift()) await this.#open(slot);
    };
    await Promise.all(Array.from({ length: OPENED_AT_ONCE }, next));
  }

  get names(): readonly DatabaseName[] {
    return [...this.#slots.keys()].toSorted();
  }

  /** The name of the only database; null when there is none, or more than one. */
  get only(): DatabaseName | null {
    const [first] = this.#slots.keys();
    return this.#slots.size === 1 ? (first ?? null) : null;
  }

  get views(): readonly DatabaseView[] {
    return this.names.flatMap((name) => {
      const view = this.viewOf(name);
      return view === null ? [] : [view];
    });
  }

  viewOf(name: DatabaseName): DatabaseView | null {
    const slot = this.#slots.get(name);
    if (slot === undefined) return null;
    const { outcome } = slot;
    if (outcome === null) return { name, state: 'opening', reason: null };
    if (outcome instanceof Error) return { name, state: 'failed', reason: outcome.message };
    return { name, ...outcome.served.status() };
  }

  /** Those that are open now. */
  get open(): readonly OpenDatabase[] {
    return [...this.#slots.values()].flatMap(({ outcome }) =>
      outcome === null || outcome instanceof Error ? [] : [outcome],
    );
  }

  /** Waits while the database is being opened. Rejects with `NOT_FOUND`, or with why it cannot be served. */
  get(name: DatabaseName): Promise<OpenDatabase> {
    const slot = this.#slots.get(name);
    return slot === undefined ? Promise.reject(noDatabase(name)) : slot.opened;
  }

  /** Throws `CONFLICT` when the name is taken, and what the store finds wrong with the file. */
  create(name: DatabaseName, from?: string): Promise<OpenDatabase> {
    return this.#alone(name, async () => {
      if (this.#slots.has(name) || this.#options.store.list().includes(name)) throw taken(name);
      if (this.#slots.size + this.#changing.size > DATABASES_MAX) throw tooMany();
      const opened = this.#admitted(await this.#options.store.create(name, { from }));
      const slot = new Slot(name);
      slot.settle(opened);
      this.#slots.set(name, slot);
      return opened;
    });
  }

  /** Closes it for its clients, then removes it, also when it could not be opened. Throws `NOT_FOUND`. */
  drop(name: DatabaseName): Promise<void> {
    return this.#alone(name, async () => {
      const slot = this.#slots.get(name);
      if (slot === undefined) throw noDatabase(name);
      this.#slots.delete(name);
      await this.#close(slot);
      await this.#options.store.drop(name);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await Promise.allSettled(this.#changing.values());
    const slots = [...this.#slots.values()];
    this.#slots.clear();
    await Promise.all(slots.map((slot) => this.#close(slot)));
  }

  async #open(slot: Slot): Promise<void> {
    const { name } = slot;
    const { store, log } = this.#options;
    try {
      if (this.#ended) throw ending();
      slot.settle(this.#admitted(await store.open(name)));
    } catch (error) {
      slot.settle(error instanceof Error ? error : new Error(String(error)));
      log.error({ database: name, error }, 'the database cannot be opened; the others are served');
    }
  }

  #admitted(served: ServedDatabase): OpenDatabase {
    return { served, sql: this.#options.observed(served.sql) };
  }

  async #close({ name, opened }: Slot): Promise<void> {
    const database = await opened.catch(() => null);
    try {
      await database?.served[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.log.error(
        { database: name, error },
        'the database did not end well; it is recovered when it is opened',
      );
    }
  }

  async #alone<T>(name: DatabaseName, work: () => Promise<T>): Promise<T> {
    if (this.#ended) throw ending();
    if (this.#changing.has(name)) throw changing(name);
    const done = work();
    this.#changing.set(
      name,
      done.catch(() => undefined),
    );
    try {
      return await done;
    } finally {
      this.#changing.delete(name);
    }
  }
}

class Slot {
  readonly name: DatabaseName;
  /** Rejects with why the database cannot be served. */
  readonly opened: Promise<OpenDatabase>;
  /** What `opened` has come to; null before. */
  outcome: OpenDatabase | Error | null = null;
  readonly #settlers: PromiseWithResolvers<OpenDatabase>;

  constructor(name: DatabaseName) {
    this.name = name;
    this.#settlers = Promise.withResolvers();
    this.opened = this.#settlers.promise;
    this.opened.catch(() => undefined);
  }

  settle(outcome: OpenDatabase | Error): void {
    this.outcome = outcome;
    if (outcome instanceof Error) this.#settlers.reject(outcome);
    else this.#settlers.resolve(outcome);
  }
}

export const taken = (name: string): SpeilError =>
  new SpeilError('CONFLICT', `there is a database ${name} already`, {
    hint: `Choose another name, or drop it first: speil database drop ${name}`,
  });

const changing = (name: string): SpeilError =>
  new SpeilError('CONFLICT', `the database ${name} is being made or dropped by somebody else`, { recovery: 'retry' });

const tooMany = (): SpeilError =>
  new SpeilError('CONFLICT', `a server has at most ${DATABASES_MAX} databases`, { hint: 'Start another server.' });

const ending = (): SpeilError =>
  new SpeilError('DATABASE_STOPPED', 'the server is ending', { recovery: 'retry', hint: 'Try again when it is back.' });
