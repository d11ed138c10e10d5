import type { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import type { DatabaseShape } from './captured-database.ts';

/** Numbers of a step: which statement, and two that vary it. */
export type SqlStep = {
  readonly connection: number;
  readonly statement: number;
  readonly a: number;
  readonly b: number;
};

/** The same bytes for the same seed; they do not compress into ranges. */
export function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed | 1;
  for (let at = 0; at < length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export const SCHEMA = `
  CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB, k INT);
  CREATE INDEX t_k ON t(k);
  CREATE TABLE w(a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
  CREATE VIRTUAL TABLE f USING fts5(body);
  CREATE VIRTUAL TABLE r USING rtree(id, x0, x1, y0, y1);
`;

type Statement = (db: DatabaseSync, a: number, b: number) => void;

const exec =
  (sql: (a: number, b: number) => string): Statement =>
  (db, a, b) =>
    db.exec(sql(a, b));

const numbers = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

/** What applications do, and what they rarely do. */
const STATEMENTS: readonly Statement[] = [
  ...Array.from({ length: 4 }, () =>
    exec((a, b) => `INSERT INTO t(v, k) VALUES ('row ${a} ${b}', ${Math.imul(a, 7919) % 10007})`),
  ),
  (db, a, b) => db.prepare('INSERT INTO t(v, k) VALUES (?, ?)').run(noise(a * 40, b), a),
  (db, a, b) => db.prepare('UPDATE t SET v = ? WHERE id % 17 = ?').run(noise(a % 300, b), b % 17),
  exec((a, b) => `${numbers(a % 400)} INSERT INTO t(v, k) SELECT i || ' of many', (i * ${b + 1}) % 5003 FROM n`),
  exec((a, b) => `UPDATE t SET k = k + ${b} WHERE k % ${(a % 30) + 2} = 0`),
  exec((a) => `DELETE FROM t WHERE id % ${(a % 9) + 2} = 0`),
  exec(() => 'DELETE FROM t'),
  exec((a, b) => `INSERT OR REPLACE INTO w VALUES ('key ${a % 50}', 'value ${b % 20}')`),
  exec((a) => `DELETE FROM w WHERE a > 'key ${a % 50}'`),
  exec((a, b) => `${numbers(a % 60)} INSERT INTO f SELECT 'word' || (i * ${b} % 97) || ' term' || i FROM n`),
  exec((a) => `DELETE FROM f WHERE f MATCH 'word${a % 97}'`),
  exec(() => `INSERT INTO f(f) VALUES ('optimize')`),
  exec((a, b) => `INSERT OR REPLACE INTO r VALUES (${a}, ${b}, ${b + 3}, ${a}, ${a + 1})`),
  exec((a) => `DELETE FROM r WHERE x0 > ${a}`),
  exec((a) => `CREATE TABLE IF NOT EXISTS x${a % 4}(y UNIQUE, z)`),
  exec((a, b) => `INSERT OR IGNORE INTO x${a % 4} VALUES (${b}, hex(zeroblob(${b})))`),
  exec((a) => `DROP TABLE IF EXISTS x${a % 4}`),
  exec((a) => `ALTER TABLE x${a % 4} ADD COLUMN c${a} DEFAULT ${a}`),
  exec((a) => `CREATE INDEX IF NOT EXISTS t_v${a % 3} ON t(v, k)`),
  exec((a) => `DROP INDEX IF EXISTS t_v${a % 3}`),
  exec(() => 'REINDEX'),
  exec(() => 'ANALYZE'),
  exec(() => 'VACUUM'),
  exec((a) => `PRAGMA incremental_vacuum(${a % 40})`),
  exec((a) => `PRAGMA user_version = ${a}`),
  exec((a) => `INSERT INTO t(v, k) VALUES (zeroblob(${a * 300}), ${a})`),
  ...Array.from({ length: 3 }, () => exec(() => 'BEGIN')),
  exec(() => 'BEGIN IMMEDIATE'),
  ...Array.from({ length: 3 }, () => exec(() => 'COMMIT')),
  exec(() => 'ROLLBACK'),
  exec((a) => `SAVEPOINT s${a % 3}`),
  exec((a) => `RELEASE s${a % 3}`),
  exec((a) => `ROLLBACK TO s${a % 3}`),
];

export const databaseShape: fc.Arbitrary<DatabaseShape> = fc.record({
  pageSize: fc.constantFrom(512, 512, 1024, 2048, 4096, 4096, 8192, 16384, 32768, 65536),
  autoVacuum: fc.constantFrom('none', 'full', 'incremental'),
  cachePages: fc.constantFrom(5, 20, 2000),
});

export const sqlStep: fc.Arbitrary<SqlStep> = fc.record({
  connection: fc.constantFrom(0, 0, 0, 1, 2),
  statement: fc.nat(STATEMENTS.length - 1),
  a: fc.nat(999),
  b: fc.nat(999),
});

/** Locks, constraints and statements that make no sense now are part of it. */
export function runStep(connections: readonly DatabaseSync[], { connection, statement, a, b }: SqlStep): void {
  try {
    STATEMENTS[statement]?.(connections[connection] as DatabaseSync, a, b);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_SQLITE_ERROR') throw error;
  }
}
