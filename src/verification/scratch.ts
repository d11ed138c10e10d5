import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { KEYS_AT_ONCE, type RowDigest } from '../database/verify-side.ts';

export type DifferenceKind = 'missing' | 'extra' | 'different';

/** A key, or a row of a table without one, on which the two sides do not agree. */
export type FoundDifference = { readonly key: string; readonly kind: DifferenceKind };

/** Memory for pages; what needs more goes to a temporary file. */
const CACHE_KIB = 32 * 1024;

/**
 * The rows of differing buckets and the keys that cannot be compared yet: a temporary database, so that memory stays
 * bounded also when every row of a large table differs. `net` is how often a row is in the source less how often it is
 * in the mirror: rows that are the same on both sides cancel out.
 */
export class Scratch implements Disposable {
  readonly #database: DatabaseSync;
  readonly #addRow: StatementSync;
  readonly #addPending: StatementSync;
  readonly #removeOpen: StatementSync;
  readonly #keyed: boolean;

  constructor({ keyed }: { readonly keyed: boolean }) {
    this.#keyed = keyed;
    this.#database = new DatabaseSync('', { readBigInts: false });
    this.#database.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -${CACHE_KIB};
      CREATE TABLE row (key TEXT, a INTEGER, b INTEGER, net INTEGER NOT NULL, PRIMARY KEY (key, a, b)) WITHOUT ROWID;
      CREATE TABLE pending (key TEXT PRIMARY KEY, asked INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE open (key TEXT PRIMARY KEY) WITHOUT ROWID`);
    this.#addRow = this.#database.prepare(
      'INSERT INTO row VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET net = net + excluded.net',
    );
    this.#addPending = this.#database.prepare(
      'INSERT INTO pending VALUES (?, ?) ON CONFLICT DO UPDATE SET asked = max(asked, excluded.asked)',
    );
    this.#removeOpen = this.#database.prepare('DELETE FROM open WHERE key = ?');
  }

  addRows(rows: readonly RowDigest[], side: 'source' | 'mirror'): void {
    const net = side === 'source' ? 1 : -1;
    this.#atOnce(() => {
      for (const { key, hash } of rows)
        this.#addRow.run(key, BigInt.asIntN(64, hash[0]), BigInt.asIntN(64, hash[1]), net);
    });
  }

  /** Keys that changed since the mirror's position, and the keys of the rows that they found, in whatever spelling. */
  addPending(keys: readonly string[], found: readonly RowDigest[]): void {
    this.#atOnce(() => {
      for (const { key } of found) this.#addPending.run(key, 0);
      for (const key of keys) this.#addPending.run(key, 1);
    });
  }

  /** Forgets rows that are the same on both sides. */
  dropEqual(): void {
    this.#database.exec('DELETE FROM row WHERE net = 0');
  }

  /** Forgets rows of keys that are pending. */
  dropPending(): void {
    this.#database.exec('DELETE FROM row WHERE key IN (SELECT key FROM pending)');
  }

  /** The keys that are pending now have to be compared at a later position. */
  leaveOpen(): void {
    this.#database.exec('INSERT OR IGNORE INTO open SELECT key FROM pending WHERE asked = 1; DELETE FROM pending');
  }

  clear(): void {
    this.#database.exec('DELETE FROM row; DELETE FROM pending; DELETE FROM open');
  }

  forgetPending(): void {
    this.#database.exec('DELETE FROM pending');
  }

  get openCount(): number {
    return this.#count('SELECT count(*) AS n FROM open');
  }

  /** The open keys that are not pending at the present position. Those that were handed out may be closed meanwhile. */
  comparable(): Generator<readonly string[], void, undefined> {
    return this.#keys((after) => `SELECT key FROM open WHERE ${after} AND key NOT IN (SELECT key FROM pending)`);
  }

  close(keys: readonly string[]): void {
    this.#atOnce(() => {
      for (const key of keys) this.#removeOpen.run(key);
    });
  }

  /** Keys that differ; without a key: rows, each as often as it is missing or too many. */
  get differenceCount(): number {
    return this.#count(
      this.#keyed ? 'SELECT count(DISTINCT key) AS n FROM row' : 'SELECT ifnull(sum(abs(net)), 0) AS n FROM row',
    );
  }

  /** The first of the differences, short keys first, so that numbers are in order. */
  firstDifferences(limit: number): readonly FoundDifference[] {
    const group = this.#keyed ? 'key' : 'key, a, b';
    const rows = this.#database
      .prepare(
        `SELECT key, max(net) AS more, min(net) AS less FROM row GROUP BY ${group} ORDER BY length(key), key LIMIT ?`,
      )
      .all(limit);
    return rows
      .flatMap((row) => this.#difference(String(row['key']), Number(row['more']), Number(row['less'])))
      .slice(0, limit);
  }

  #difference(key: string, more: number, less: number): readonly FoundDifference[] {
    if (this.#keyed) return [{ key, kind: less >= 0 ? 'missing' : more <= 0 ? 'extra' : 'different' }];
    return new Array(Math.abs(more)).fill({ key, kind: more > 0 ? 'missing' : 'extra' });
  }

  /** All keys that differ, at most {@link KEYS_AT_ONCE} at a time; `extra`: only those that the source does not have. */
  differingKeys(which: 'all' | 'extra'): Generator<readonly string[], void, undefined> {
    const having = which === 'extra' ? ' HAVING max(net) < 0' : '';
    return this.#keys((after) => `SELECT key FROM row WHERE ${after} GROUP BY key${having}`);
  }

  /** Page by page, so that the keys may be changed in between. */
  *#keys(select: (after: string) => string): Generator<readonly string[], void, undefined> {
    const page = (after: string) => this.#database.prepare(`${select(after)} ORDER BY key LIMIT ${KEYS_AT_ONCE}`);
    const next = page('key > ?');
    for (let rows = page('key >= ?').all(''); rows.length > 0; ) {
      const keys = rows.map((row) => String(row['key']));
      yield keys;
      rows = next.all(keys.at(-1) ?? '');
    }
  }

  #count(sql: string): number {
    return Number(this.#database.prepare(sql).get()?.['n']);
  }

  #atOnce(work: () => void): void {
    this.#database.exec('BEGIN');
    work();
    this.#database.exec('COMMIT');
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
