import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { SpeilError } from '../core/error.ts';
import { lockFolder } from '../service/folder-lock.ts';
import type { CenterDatabase, CenterSession, Row } from './database.ts';
import { databaseError } from './database-error.ts';

/** Statements that may wait for the one connection. Whoever finds so many before it is told to come again. */
const WAITING_MAX = 10_000;

/** A center of thousands of tenants is smaller than this; PGlite's default of 128 MB would be taken from the process. */
const SHARED_BUFFERS = '32MB';

/** Autovacuum's own rule: a fifth of a table changed, and fifty rows at least. */
const UNTIDY = `
SELECT relid::regclass::text AS name FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
WHERE greatest(n_dead_tup, n_mod_since_analyze) > 50 + 0.2 * greatest(reltuples, 0)`;

/**
 * Opens PostgreSQL inside this process, in `<folder>/database`; makes it when there is none. What was committed survives
 * the end of the process, however it ends. A power cut may cost more: PGlite does not wait for the disk.
 */
export async function openPGlite(folder: string, { now }: { readonly now: () => number }): Promise<CenterDatabase> {
  const path = join(folder, 'database');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    using stack = new DisposableStack();
    const lock = stack.use(lockFolder(folder, { now: now(), otherwise: ELSEWHERE }));
    if (!existsSync(path)) await make(path);
    const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS}`];
    const pglite = await PGlite.create({ dataDir: path, startParams });
    stack.move();
    return new PGliteDatabase(pglite, path, lock);
  } catch (error) {
    throw databaseError(error, path, notOpened(path));
  }
}

const ELSEWHERE = 'name another --data folder, or let several centers share a server: --database postgres://…';

const notOpened = (path: string): string =>
  `A power cut may have damaged it. Remove ${path}, start again, and add tenants and mirrors: the mirrors go on from where they are. On a server it would survive: --database postgres://…`;

/** Made beside its place and then renamed: an end in the middle leaves nothing that looks like a database. */
async function make(path: string): Promise<void> {
  const unfinished = `${path}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  const pglite = await PGlite.create({ dataDir: unfinished });
  await pglite.close();
  renameSync(unfinished, path);
}

class PGliteDatabase implements CenterDatabase {
  readonly kind = 'pglite';
  readonly display: string;
  readonly #pglite: PGlite;
  readonly #lock: Disposable;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(pglite: PGlite, display: string, lock: Disposable) {
    this.#pglite = pglite;
    this.display = display;
    this.#lock = lock;
  }

  readonly #session: CenterSession = {
    query: <R extends Row>(text: string, values: readonly unknown[] = []) =>
      this.#told(() => this.#one(text, values)) as Promise<R[]>,
    exec: (text) => this.#told(async () => void (await this.#several(text))),
    executeSql: async (text, values = []) => ({
      rows: values.length > 0 ? await this.#one(text, values) : await this.#several(text),
    }),
  };

  query<R extends Row = Row>(text: string, values: readonly unknown[] = []): Promise<readonly R[]> {
    return this.#alone(() => this.#session.query<R>(text, values));
  }

  exec(text: string): Promise<void> {
    return this.#alone(() => this.#whole(() => this.#session.exec(text)));
  }

  executeSql(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> {
    return this.#alone(() => this.#whole(() => this.#session.executeSql(text, values)));
  }

  transaction<T>(work: (session: CenterSession) => Promise<T>): Promise<T> {
    return this.#alone(() =>
      this.#whole(async () => {
        await this.#session.exec('BEGIN');
        const result = await work(this.#session);
        await this.#session.exec('COMMIT');
        return result;
      }),
    );
  }

  /** What fails in the middle of a transaction would leave the one connection in it, for whoever comes next. */
  async #whole<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.#session.exec('ROLLBACK');
      throw error;
    }
  }

  async tidyUp(): Promise<void> {
    for (const { name } of await this.query<{ name: string }>(UNTIDY)) await this.exec(`VACUUM (ANALYZE) ${name}`);
  }

  /** There is one connection: whoever comes waits until it is free. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX) return Promise.reject(this.#busy());
    this.#waiting += 1;
    const mine = this.#last.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  #busy(): SpeilError {
    return new SpeilError('CENTER_DATABASE_FAILED', `${this.display} has ${WAITING_MAX} statements waiting.`, {
      recovery: 'retry',
      hint: 'It is tried again. When it stays so, use a PostgreSQL server: --database postgres://…',
    });
  }

  async #one(text: string, values: readonly unknown[]): Promise<Row[]> {
    return (await this.#pglite.query<Row>(text, [...values])).rows;
  }

  async #several(text: string): Promise<Row[]> {
    return (await this.#pglite.exec(text)).flatMap(({ rows }) => rows as Row[]);
  }

  async #told<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw databaseError(error, this.display);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pglite.closed) return;
    await this.#alone(() => this.#pglite.close());
    this.#lock[Symbol.dispose]();
  }
}
