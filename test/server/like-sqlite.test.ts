import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { SqlStream } from '../../src/server/sql.ts';
import { outcome, type Served, serve } from '../support/streams/served-streams.ts';

const SCHEMA = `create table t(a integer primary key, b unique, c);
  create table w(k primary key, n) without rowid;
  create table log(what);
  create view v as select a, b from t;
  create trigger v_insert instead of insert on v begin insert into t(b) values (new.b); end;
  create trigger t_insert after insert on t begin insert into log values (last_insert_rowid()); end`;

const MEMORY = 'select last_insert_rowid(), changes(), total_changes()';

const small = fc.integer({ min: 1, max: 12 });

/** Statements that a stream may be asked, most of which find something to do. */
const statement: fc.Arbitrary<string> = fc.oneof(
  small.map((n) => `insert into t(b, c) values (${n}, 'x') returning *`),
  small.map((n) => `insert into t(b, c) values (${n}, changes()) on conflict do update set c = last_insert_rowid()`),
  small.map((n) => `insert or ignore into t(a, b) values (${n}, ${n}), (${n + 1}, ${n + 1})`),
  small.map((n) => `replace into w values (${n}, total_changes())`),
  small.map((n) => `insert into w select a, b from t where a < ${n}`),
  small.map((n) => `insert into v(b) values (${n})`),
  small.map((n) => `update t set c = last_insert_rowid() where a > ${n}`),
  small.map((n) => `delete from t where a = ${n} returning a`),
  fc.constantFrom(
    'select * from t',
    'select *, changes() as n from w',
    'select count(*) from log',
    'select max(a) from v',
  ),
  fc.constantFrom('begin', 'begin immediate', 'commit', 'rollback', 'savepoint s', 'release s', 'rollback to s'),
  fc.constantFrom(
    'create temp table x(a)',
    'insert into x values (total_changes())',
    'select * from x',
    'drop table x',
  ),
  fc.constantFrom('alter table w add column m', 'pragma foreign_keys = off', 'nonsense'),
);

const WRITE = /insert|update|delete|replace|alter|drop|immediate/;

/** Plain SQLite: what a stream must be like, as far as its client can tell. */
class Plain {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { enableDoubleQuotedStringLiterals: true });
    this.#database.exec('pragma journal_mode = wal');
  }

  get isAutocommit(): boolean {
    return !this.#database.isTransaction;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  ask(sql: string): unknown {
    try {
      const prepared = this.#database.prepare(sql);
      prepared.setReadBigInts(true);
      prepared.setReturnArrays(true);
      const rows = prepared.all();
      return { rows, columns: prepared.columns().map(({ name, type }) => [name, type]) };
    } catch (error) {
      return (error as Error).message;
    }
  }

  close(): void {
    this.#database.close();
  }
}

async function ask(stream: SqlStream, sql: string): Promise<unknown> {
  const answer = await outcome(stream, sql);
  if (answer.kind === 'error') return answer.error.message.replace(/^SQL[^:]*: /, '');
  assert.equal(answer.kind, 'result');
  const { rows, columns } = answer.result;
  return { rows, columns: columns.map(({ name, declaredType }) => [name, declaredType]) };
}

const STREAMS = 3;

/** In plain SQLite a second writer would be told that it is locked; here it would wait. So it is not asked. */
async function compare({ streams }: Served, plain: readonly Plain[], script: readonly (readonly [number, string])[]) {
  const own = plain.map(() => streams.openStream('write'));
  let writer: number | null = null;
  for (const [which, sql] of script) {
    const [stream, model] = [own[which] as SqlStream, plain[which] as Plain];
    if (writer !== null && writer !== which && WRITE.test(sql)) continue;
    assert.deepEqual(await ask(stream, sql), model.ask(sql), sql);
    assert.equal(stream.isAutocommit, model.isAutocommit, sql);
    assert.deepEqual(await ask(stream, MEMORY), model.ask(MEMORY), sql);
    if (!model.isAutocommit && WRITE.test(sql)) writer = which;
    if (model.isAutocommit && writer === which) writer = null;
  }
  for (const stream of own) await stream[Symbol.asyncDispose]();
}

function plainConnections(context: TestContext): Plain[] {
  const folder = mkdtempSync(join(tmpdir(), 'speil-plain-'));
  const connections = Array.from({ length: STREAMS }, () => new Plain(join(folder, 'plain.db')));
  context.after(() => {
    for (const connection of connections) connection.close();
    rmSync(folder, { recursive: true });
  });
  connections[0]?.exec(SCHEMA);
  return connections;
}

test('property: each of several streams is like a connection of its own to plain SQLite', async (t) => {
  const script = fc.array(fc.tuple(fc.nat(STREAMS - 1), statement), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(script, async (steps) => compare(serve(t, { schema: SCHEMA }), plainConnections(t), steps)),
    { numRuns: 15 },
  );
});
