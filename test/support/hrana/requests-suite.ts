import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Batch,
  blob,
  type Column,
  float,
  type HranaFailure,
  integer,
  NULL,
  type Response,
  type Statement,
  text,
  type Value,
} from '../hrana-json.ts';
import { type TestStream, TRANSPORTS } from '../hrana-transports.ts';

/** A server of Hrana with an empty database: `url('http')`, `url('ws')`, each ending in a slash. */
export type OpenServer = () => Promise<AsyncDisposable & { readonly url: (scheme: string) => string }>;

type Check = (stream: TestStream, other: () => Promise<TestStream>) => Promise<void>;

/** Every kind of request of Hrana 2 and 3, by each way in which they travel. */
export function hranaSuite(server: string, open: OpenServer): void {
  for (const transport of TRANSPORTS) {
    for (const [name, check] of Object.entries({ ...CHECKS, ...(transport.hasCursors ? CHECKS_3 : {}) })) {
      test(`${server}, ${transport.name}: ${name}`, async () => {
        await using service = await open();
        const openStream = () => transport.open((scheme) => service.url(scheme));
        await using stream = await openStream();
        await check(stream, openStream);
      });
    }
  }
}

const execute = (stream: TestStream, stmt: Statement | string): Promise<Response> =>
  stream.ask({ type: 'execute', stmt: typeof stmt === 'string' ? { sql: stmt } : stmt });

const rowsOf = async (stream: TestStream, stmt: Statement | string) => (await execute(stream, stmt)).result.rows;

const batch = async (stream: TestStream, steps: Batch['steps']) =>
  (await stream.ask({ type: 'batch', batch: { steps } })).result;

const step = (sql: string, condition?: Batch['steps'][number]['condition']): Batch['steps'][number] =>
  condition === undefined ? { stmt: { sql } } : { condition, stmt: { sql } };

/** `ok`, `skipped` or the code of the error, of each step. */
const outcomes = ({ step_results, step_errors }: Response['result']): readonly string[] =>
  step_results.map((result, index) => (result !== null ? 'ok' : (step_errors[index]?.code ?? 'skipped')));

const fails = (promise: Promise<unknown>, code: string | RegExp) =>
  assert.rejects(promise, (error: HranaFailure) => {
    assert.match(error.code, typeof code === 'string' ? new RegExp(`^${code}$`) : code);
    return true;
  });

const VALUES: readonly Value[] = [
  NULL,
  integer(0),
  integer(-1),
  integer(2n ** 53n + 1n),
  integer(2n ** 63n - 1n),
  integer(-(2n ** 63n)),
  float(0.1),
  float(-1.5e300),
  float(5e-324),
  float(1e21),
  text(''),
  text('naïve "quotes" \\ \u0001 \u2028 \u{1f600}\n'),
  blob(),
  blob(0),
  blob(1, 2),
  blob(0xff, 0xfe, 0xfd),
];

const CHECKS: Readonly<Record<string, Check>> = {
  'values come back as they went': async (stream) => {
    for (const value of VALUES)
      assert.deepEqual(await rowsOf(stream, { sql: 'SELECT ?', args: [value] }), [[value]], JSON.stringify(value));
    const all = { sql: `SELECT ${VALUES.map(() => '?').join()}`, args: VALUES };
    assert.deepEqual(await rowsOf(stream, all), [VALUES]);
  },

  'SQLite sees the types that were sent': async (stream) => {
    const sql = 'SELECT typeof(?), typeof(?), typeof(?), typeof(?), typeof(?), length(?)';
    const args = [NULL, integer(1), float(1), text('1'), blob(1), text('a\u{1f600}')];
    const names = ['null', 'integer', 'real', 'text', 'blob'].map(text);
    assert.deepEqual(await rowsOf(stream, { sql, args }), [[...names, integer(2)]]);
  },

  'infinity is a float': async (stream) => {
    assert.deepEqual(await rowsOf(stream, 'SELECT 9e999, -9e999'), [
      [float(Number.POSITIVE_INFINITY), float(Number.NEGATIVE_INFINITY)],
    ]);
  },

  'named arguments, with and without their prefix': async (stream) => {
    const named_args = [
      { name: ':a', value: text('A') },
      { name: 'b', value: integer(2) },
      { name: '$c', value: NULL },
    ];
    assert.deepEqual(await rowsOf(stream, { sql: 'SELECT :a, @b, $c', named_args }), [[text('A'), integer(2), NULL]]);
  },

  'columns have their names and declared types': async (stream) => {
    await execute(stream, 'CREATE TABLE t (id INTEGER PRIMARY KEY, price DECIMAL(10, 2), "od""d" bananas)');
    const { result } = await execute(stream, 'SELECT id, price, "od""d", 1 + 1 AS two FROM t');
    assert.deepEqual(result.cols satisfies readonly Column[], [
      { name: 'id', decltype: 'INTEGER' },
      { name: 'price', decltype: 'DECIMAL(10, 2)' },
      { name: 'od"d', decltype: 'bananas' },
      { name: 'two', decltype: null },
    ]);
    assert.deepEqual(result.rows, []);
  },

  'what a statement changed is told': async (stream) => {
    await execute(stream, 'CREATE TABLE t (a INTEGER PRIMARY KEY, b)');
    const inserted = await execute(stream, "INSERT INTO t VALUES (10, 'x'), (9007199254740993, 'y')");
    assert.equal(inserted.result.affected_row_count, 2);
    assert.equal(inserted.result.last_insert_rowid, '9007199254740993');
    assert.equal((await execute(stream, 'UPDATE t SET b = 1')).result.affected_row_count, 2);
    assert.equal((await execute(stream, 'SELECT * FROM t')).result.affected_row_count, 0);
    const returning = await execute(stream, "INSERT INTO t VALUES (-5, 'z') RETURNING a, b");
    assert.deepEqual(returning.result.rows, [[integer(-5), text('z')]]);
    assert.equal(returning.result.affected_row_count, 1);
    assert.equal(returning.result.last_insert_rowid, '-5');
  },

  'rows that are not wanted do not come': async (stream) => {
    const { result } = await execute(stream, { sql: 'VALUES (1), (2)', want_rows: false });
    assert.deepEqual([result.rows, result.cols.length], [[], 1]);
    assert.equal((await execute(stream, { sql: 'VALUES (1), (2)', want_rows: true })).result.rows.length, 2);
  },

  'an error has its code, and the stream goes on': async (stream) => {
    await execute(stream, 'CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE NOT NULL, c CHECK (c > 0))');
    await execute(stream, "INSERT INTO t VALUES (1, 'x', 1)");
    await fails(execute(stream, 'SELEC 1'), /^SQL/);
    await fails(execute(stream, 'SELECT * FROM missing'), /^SQL/);
    await fails(execute(stream, "INSERT INTO t VALUES (1, 'y', 1)"), 'SQLITE_CONSTRAINT_PRIMARYKEY');
    await fails(execute(stream, "INSERT INTO t VALUES (2, 'x', 1)"), 'SQLITE_CONSTRAINT_UNIQUE');
    await fails(execute(stream, 'INSERT INTO t VALUES (2, NULL, 1)'), 'SQLITE_CONSTRAINT_NOTNULL');
    await fails(execute(stream, "INSERT INTO t VALUES (2, 'y', 0)"), 'SQLITE_CONSTRAINT_CHECK');
    await fails(execute(stream, 'SELECT 1; SELECT 2'), /^SQL/);
    await fails(execute(stream, ''), /^SQL/);
    assert.deepEqual(await rowsOf(stream, 'SELECT a FROM t'), [[integer(1)]]);
  },

  'a batch tells of each of its steps': async (stream) => {
    const result = await batch(stream, [
      step('CREATE TABLE t (a INTEGER PRIMARY KEY)'),
      step('INSERT INTO t VALUES (1), (2)'),
      step('INSERT INTO t VALUES (2)'),
      step('SELECT a FROM t ORDER BY a'),
    ]);
    assert.deepEqual(outcomes(result), ['ok', 'ok', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'ok']);
    assert.equal(result.step_results[1]?.affected_row_count, 2);
    assert.deepEqual(result.step_results[3]?.rows, [[integer(1)], [integer(2)]]);
    assert.deepEqual(await batch(stream, []), { step_results: [], step_errors: [] });
  },

  'conditions decide about steps': async (stream) => {
    const [ok, failed, skipped] = [0, 1, 2];
    const holds = { type: 'ok', step: ok } as const;
    const not = { type: 'not', cond: holds } as const;
    const result = await batch(stream, [
      step('SELECT 1'),
      step('SELECT * FROM missing'),
      step('SELECT 1', { type: 'ok', step: failed }),
      step('SELECT 1', { type: 'error', step: failed }),
      step('SELECT 1', { type: 'error', step: ok }),
      step('SELECT 1', { type: 'ok', step: skipped }),
      step('SELECT 1', { type: 'error', step: skipped }),
      step('SELECT 1', not),
      step('SELECT 1', { type: 'not', cond: not }),
      step('SELECT 1', { type: 'and', conds: [holds, { type: 'error', step: failed }] }),
      step('SELECT 1', { type: 'and', conds: [holds, not] }),
      step('SELECT 1', { type: 'or', conds: [not, holds] }),
      step('SELECT 1', { type: 'or', conds: [not, not] }),
      step('SELECT 1', { type: 'and', conds: [] }),
      step('SELECT 1', { type: 'or', conds: [] }),
    ]);
    const [done, left] = ['ok', 'skipped'];
    const [, error, ...rest] = outcomes(result);
    assert.match(error ?? '', /^SQL/);
    assert.deepEqual(rest, [left, done, left, left, left, left, done, done, left, done, left, done, left]);
  },

  'a transaction lasts over requests, and is its stream’s own': async (stream, openOther) => {
    await execute(stream, 'CREATE TABLE t (a)');
    await execute(stream, 'BEGIN IMMEDIATE');
    await execute(stream, 'INSERT INTO t VALUES (1)');
    await using other = await openOther();
    assert.deepEqual(await rowsOf(other, 'SELECT count(*) FROM t'), [[integer(0)]]);
    assert.deepEqual(await rowsOf(stream, 'SELECT count(*) FROM t'), [[integer(1)]]);
    await execute(stream, 'COMMIT');
    assert.deepEqual(await rowsOf(other, 'SELECT count(*) FROM t'), [[integer(1)]]);
  },

  'closing a stream ends its transaction': async (stream, openOther) => {
    await execute(stream, 'CREATE TABLE t (a)');
    await execute(stream, 'BEGIN IMMEDIATE');
    await execute(stream, 'INSERT INTO t VALUES (1)');
    await stream.ask({ type: 'close' });
    await using other = await openOther();
    await execute(other, 'BEGIN IMMEDIATE');
    assert.deepEqual(await rowsOf(other, 'SELECT count(*) FROM t'), [[integer(0)]]);
  },

  'temporary tables and last_insert_rowid are a stream’s own': async (stream, openOther) => {
    await execute(stream, 'CREATE TEMP TABLE mine (a INTEGER PRIMARY KEY)');
    await execute(stream, 'INSERT INTO mine VALUES (77)');
    assert.deepEqual(await rowsOf(stream, 'SELECT last_insert_rowid(), a FROM mine'), [[integer(77), integer(77)]]);
    await using other = await openOther();
    await fails(execute(other, 'SELECT * FROM mine'), /^SQL/);
  },

  'a sequence is many statements, up to the first that fails': async (stream) => {
    const sql = `
      CREATE TABLE t (a); -- one; two
      INSERT INTO t VALUES ('a;b');
      CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = 1; SELECT 2; END;
      SELECT * FROM t`;
    assert.equal((await stream.ask({ type: 'sequence', sql })).type, 'sequence');
    await stream.ask({ type: 'sequence', sql: '' });
    const failing = "INSERT INTO t VALUES ('c'); INSERT INTO missing VALUES (1); DELETE FROM t";
    await fails(stream.ask({ type: 'sequence', sql: failing }), /^SQL/);
    assert.deepEqual(await rowsOf(stream, 'SELECT count(*) FROM t'), [[integer(2)]]);
  },

  'a statement is described without being carried out': async (stream) => {
    await execute(stream, 'CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)');
    const describe = async (sql: string) => (await stream.ask({ type: 'describe', sql })).result;
    const insert = await describe('INSERT INTO t VALUES (?, :name)');
    assert.deepEqual(insert.params, [{ name: null }, { name: ':name' }]);
    assert.deepEqual([insert.cols, insert.is_explain, insert.is_readonly], [[], false, false]);
    const select = await describe('SELECT b, 1 AS one FROM t');
    assert.deepEqual(select.cols, [
      { name: 'b', decltype: 'TEXT' },
      { name: 'one', decltype: null },
    ]);
    assert.deepEqual([select.params, select.is_readonly], [[], true]);
    assert.equal((await describe('EXPLAIN SELECT 1')).is_explain, true);
    await fails(describe('SELECT * FROM missing'), /^SQL/);
    assert.deepEqual(await rowsOf(stream, 'SELECT count(*) FROM t'), [[integer(0)]]);
  },

  'SQL texts are stored and used by their ids': async (stream) => {
    const store = (sql_id: number, sql: string) => stream.ask({ type: 'store_sql', sql_id, sql });
    assert.equal((await store(1, 'SELECT ?')).type, 'store_sql');
    await store(-2147483648, 'CREATE TABLE t (a); INSERT INTO t VALUES (1)');
    assert.deepEqual(await rowsOf(stream, { sql_id: 1, args: [text('x')] }), [[text('x')]]);
    await stream.ask({ type: 'sequence', sql_id: -2147483648 });
    const stored = await batch(stream, [{ stmt: { sql_id: 1, args: [integer(5)] } }, step('SELECT count(*) FROM t')]);
    assert.deepEqual(stored.step_results[0]?.rows, [[integer(5)]]);
    assert.deepEqual(stored.step_results[1]?.rows, [[integer(1)]]);
    assert.equal((await stream.ask({ type: 'describe', sql_id: 1 })).result.params.length, 1);
    assert.equal((await stream.ask({ type: 'close_sql', sql_id: 1 })).type, 'close_sql');
    await stream.ask({ type: 'close_sql', sql_id: 1 });
    await store(1, "SELECT 'again'");
    assert.deepEqual(await rowsOf(stream, { sql_id: 1 }), [[text('again')]]);
  },
};

/** What came with version 3. */
const CHECKS_3: Readonly<Record<string, Check>> = {
  'whether there is a transaction': async (stream) => {
    const isAutocommit = async () => (await stream.ask({ type: 'get_autocommit' })).is_autocommit;
    assert.equal(await isAutocommit(), true);
    await execute(stream, 'BEGIN');
    assert.equal(await isAutocommit(), false);
    const inside = { type: 'not', cond: { type: 'is_autocommit' } } as const;
    const result = await batch(stream, [
      step('SELECT 1', inside),
      step('COMMIT', inside),
      step('ROLLBACK', inside),
      step('SELECT 1', { type: 'is_autocommit' }),
    ]);
    assert.deepEqual(outcomes(result), ['ok', 'ok', 'skipped', 'ok']);
    assert.equal(await isAutocommit(), true);
  },

  'a cursor tells of a batch piece by piece': async (stream) => {
    const entries = await stream.cursor({
      steps: [
        step('CREATE TABLE t (a INTEGER PRIMARY KEY, b)'),
        step("INSERT INTO t VALUES (1, 'x'), (2, NULL)"),
        step('SELECT 1', { type: 'error', step: 0 }),
        step('SELECT b FROM t ORDER BY a'),
        step('SELECT * FROM missing'),
        { stmt: { sql: 'SELECT 1', want_rows: false } },
      ],
    });
    const columns = [{ name: 'b', decltype: null }];
    assert.deepEqual(entries.slice(4, 8), [
      { type: 'step_begin', step: 3, cols: columns },
      { type: 'row', row: [text('x')] },
      { type: 'row', row: [NULL] },
      { type: 'step_end', affected_row_count: 0, last_insert_rowid: null },
    ]);
    assert.deepEqual(
      entries.map(({ type, step: at }) => [type, at].filter((it) => it !== undefined).join(' ')),
      [
        ...['step_begin 0', 'step_end', 'step_begin 1', 'step_end'],
        ...['step_begin 3', 'row', 'row', 'step_end', 'step_error 4', 'step_begin 5', 'step_end'],
      ],
    );
    assert.equal(entries[3]?.affected_row_count, 2);
    assert.match(entries[8]?.error.code ?? '', /^SQL/);
  },

  'a stream goes on after a cursor': async (stream) => {
    await execute(stream, 'BEGIN');
    await stream.cursor({ steps: [step('CREATE TABLE t (a)'), step('INSERT INTO t VALUES (1)')] });
    assert.equal((await stream.ask({ type: 'get_autocommit' })).is_autocommit, false);
    assert.deepEqual(await stream.cursor({ steps: [] }), []);
    assert.deepEqual(await rowsOf(stream, 'SELECT a FROM t'), [[integer(1)]]);
  },

  'a cursor over many rows': async (stream) => {
    const sql = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      SELECT i, hex(zeroblob(100)) FROM n`;
    const rows = (await stream.cursor({ steps: [step(sql)] })).filter(({ type }) => type === 'row');
    assert.equal(rows.length, 2000);
    assert.deepEqual(rows.at(-1)?.row, [integer(2000), text('0'.repeat(200))]);
  },
};
