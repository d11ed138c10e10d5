import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Client, createClient, type IntMode } from '@libsql/client';
import { BatchCond, type HttpClient, type HttpStream, openHttp, openWs, WsClient } from '@libsql/hrana-client';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { eq, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/libsql';
import { blob, integer, real, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { type Generated, Kysely } from 'kysely';
import type { OpenServer } from './requests-suite.ts';

/** The official client and what people put on top of it, unchanged, over HTTP and WebSocket. */
export function clientsSuite(server: string, open: OpenServer): void {
  for (const scheme of ['http', 'ws']) {
    const on = (name: string, check: (client: Client, url: string, context: TestContext) => Promise<void>) =>
      test(`${server}, ${scheme}: ${name}`, async (context) => {
        await using service = await open();
        const url = service.url(scheme);
        const client = createClient({ url });
        context.after(() => client.close());
        await check(client, url, context);
        client.close();
      });
    for (const [name, check] of Object.entries(CHECKS)) on(name, check);
    test(`${server}, ${scheme}: version 3 and protobuf, with the client underneath`, async (context) => {
      await using service = await open();
      const url = service.url(scheme);
      const client = scheme === 'ws' ? openWs(url, undefined, 3) : openHttp(url, undefined, undefined, undefined, 3);
      context.after(() => client.close());
      await checkVersion3(client);
      client.close();
    });
  }
}

async function checkVersion3(client: WsClient | HttpClient): Promise<void> {
  assert.equal(await client.getVersion(), 3);
  client.intMode = 'bigint';
  const stream = client.openStream();
  const owner = client instanceof WsClient ? client : (stream as HttpStream);
  const stored = owner.storeSql('INSERT INTO t VALUES (?, ?) RETURNING a, b');
  await stream.sequence('CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (-7, NULL)');
  const inserted = await stream.query([stored, [9007199254740993n, 'naïve']]);
  assert.deepEqual(
    [...inserted.rows].map(({ a, b }) => [a, b]),
    [[9007199254740993n, 'naïve']],
  );
  assert.equal(inserted.lastInsertRowid, 9007199254740993n);
  assert.deepEqual(inserted.columnDecltypes, ['INTEGER', 'TEXT']);
  assert.deepEqual(
    (await stream.describe(stored)).columns.map(({ name }) => name),
    ['a', 'b'],
  );
  stored.close();
  assert.equal(await stream.getAutocommit(), true);
  for (const useCursor of [false, true]) {
    const batch = stream.batch(useCursor);
    const first = batch.step();
    const rows = first.query("SELECT a, b, 1.5, x'0102' FROM t ORDER BY a");
    const skipped = batch.step().condition(BatchCond.error(first)).query('SELECT 1');
    const failing = batch.step().condition(BatchCond.isAutocommit(batch)).query('SELECT * FROM missing');
    failing.catch(() => {});
    await batch.execute();
    const all = (await rows)?.rows.map((row) => [row[0], row[1], row[2], row[3]]);
    const bytes = new Uint8Array([1, 2]).buffer;
    assert.deepEqual(all, [
      [-7n, null, 1.5, bytes],
      [9007199254740993n, 'naïve', 1.5, bytes],
    ]);
    assert.equal(await skipped, undefined);
    await assert.rejects(failing, /no such table/);
  }
  stream.closeGracefully();
}

type Check = (client: Client, url: string, context: TestContext) => Promise<void>;

const other = (url: string, context: TestContext, options: { intMode?: IntMode; concurrency?: number } = {}) => {
  const client = createClient({ url, ...options });
  context.after(() => client.close());
  return client;
};

const count = async (client: Pick<Client, 'execute'>, table = 't') =>
  (await client.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0]?.['n'];

const CHECKS: Readonly<Record<string, Check>> = {
  'values of all kinds': async (client) => {
    const args = [null, 1, 2.5, 'text', true, new Date(1_000), 12345678901n, new Uint8Array([1, 2, 255]).buffer];
    const { rows, columns } = await client.execute({ sql: `SELECT ${args.map((_, i) => `? AS c${i}`).join()}`, args });
    assert.deepEqual(columns, ['c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7']);
    assert.deepEqual(Object.values(rows[0] ?? {}), [
      ...[null, 1, 2.5, 'text', 1, 1_000, 12345678901],
      new Uint8Array([1, 2, 255]).buffer,
    ]);
    const infinite = await client.execute('SELECT 9e999 AS up, -9e999 AS down');
    assert.deepEqual({ ...infinite.rows[0] }, { up: Number.POSITIVE_INFINITY, down: Number.NEGATIVE_INFINITY });
    const named = await client.execute({ sql: 'SELECT :a AS a, $b AS b, @c AS c', args: { a: 1, b: 'two', c: null } });
    assert.deepEqual({ ...named.rows[0] }, { a: 1, b: 'two', c: null });
    const twice = await client.execute('SELECT 1 AS x, 2 AS x');
    assert.deepEqual([twice.columns, twice.rows[0]?.[0], twice.rows[0]?.[1]], [['x', 'x'], 1, 2]);
  },

  'large integers, as the client wants them': async (client, url, context) => {
    const largest = 'SELECT 9223372036854775807 AS n';
    await assert.rejects(client.execute(largest), RangeError);
    const big = other(url, context, { intMode: 'bigint' });
    assert.equal((await big.execute(largest)).rows[0]?.['n'], 9223372036854775807n);
    const asText = other(url, context, { intMode: 'string' });
    assert.equal((await asText.execute(largest)).rows[0]?.['n'], '9223372036854775807');
    await big.execute('CREATE TABLE t (a INTEGER PRIMARY KEY)');
    const inserted = await big.execute({ sql: 'INSERT INTO t VALUES (?)', args: [-9223372036854775808n] });
    assert.deepEqual([inserted.rowsAffected, inserted.lastInsertRowid], [1, -9223372036854775808n]);
  },

  'a blob of two million bytes': async (client) => {
    await client.execute('CREATE TABLE t (a BLOB)');
    const bytes = new Uint8Array(2_000_000).map((_, index) => index * 7);
    await client.execute({ sql: 'INSERT INTO t VALUES (?)', args: [bytes] });
    const { rows } = await client.execute('SELECT a FROM t');
    assert.ok(Buffer.from(rows[0]?.['a'] as ArrayBuffer).equals(bytes));
  },

  'errors have their codes': async (client) => {
    await client.execute('CREATE TABLE t (a INTEGER PRIMARY KEY, b NOT NULL)');
    await assert.rejects(client.execute('INSERT INTO t VALUES (1, NULL)'), {
      name: 'LibsqlError',
      code: 'SQLITE_CONSTRAINT_NOTNULL',
      message: /NOT NULL constraint failed: t.b/,
    });
    await assert.rejects(client.execute('SELECT * FROM missing'), { name: 'LibsqlError', message: /no such table/ });
    await assert.rejects(client.execute('SELEC'), { name: 'LibsqlError', message: /syntax error/ });
  },

  'a batch is one transaction': async (client) => {
    const results = await client.batch(
      [
        'CREATE TABLE t (a INTEGER PRIMARY KEY)',
        { sql: 'INSERT INTO t VALUES (?), (?)', args: [1, 2] },
        ['SELECT a FROM t WHERE a > ?', [1]],
      ],
      'write',
    );
    assert.deepEqual(
      results.map(({ rowsAffected, rows }) => [rowsAffected, rows.length]),
      [
        [0, 0],
        [2, 0],
        [0, 1],
      ],
    );
    const failing = ['INSERT INTO t VALUES (3)', 'INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (4)'];
    await assert.rejects(client.batch(failing, 'write'), { code: 'SQLITE_CONSTRAINT_PRIMARYKEY', statementIndex: 1 });
    assert.equal(await count(client), 2);
    assert.equal((await client.batch(['SELECT 1', 'SELECT 2'], 'read')).length, 2);
    const same = await client.batch(Array.from({ length: 200 }, () => 'SELECT 1'));
    assert.equal(same.length, 200);
  },

  'a migration goes round foreign keys': async (client) => {
    await client.executeMultiple(`
      CREATE TABLE parent (id INTEGER PRIMARY KEY);
      CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id REFERENCES parent (id));
      INSERT INTO parent VALUES (1);
      INSERT INTO child VALUES (1, 1)`);
    await client.migrate([
      'CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT)',
      'INSERT INTO parent_new SELECT id, NULL FROM parent',
      'DROP TABLE parent',
      'ALTER TABLE parent_new RENAME TO parent',
    ]);
    assert.deepEqual((await client.execute('SELECT * FROM parent')).columns, ['id', 'name']);
    assert.equal(await count(client, 'child'), 1);
  },

  'many statements at once': async (client) => {
    await client.executeMultiple("CREATE TABLE t (a); INSERT INTO t VALUES (';'); -- done; really\nSELECT 1;");
    await assert.rejects(client.executeMultiple('INSERT INTO t VALUES (1); SELEC; DELETE FROM t'), /syntax error/);
    assert.equal(await count(client), 2);
  },

  'transactions: committed, rolled back, closed': async (client, url, context) => {
    await client.execute('CREATE TABLE t (a)');
    const reader = other(url, context);
    const committed = await client.transaction('write');
    await committed.execute('INSERT INTO t VALUES (1)');
    await committed.batch(['INSERT INTO t VALUES (2)', 'INSERT INTO t VALUES (3)']);
    await committed.executeMultiple('INSERT INTO t VALUES (4); INSERT INTO t VALUES (5)');
    assert.equal(await count(committed), 5);
    assert.equal(await count(reader), 0);
    await committed.commit();
    assert.equal(await count(reader), 5);
    assert.equal(committed.closed, true);
    const back = await client.transaction('write');
    await back.execute('DELETE FROM t');
    await back.rollback();
    const closed = await client.transaction();
    await closed.execute('DELETE FROM t');
    closed.close();
    const failed = await client.transaction('deferred');
    await assert.rejects(failed.execute('SELECT * FROM missing'));
    assert.equal(await count(failed), 5);
    await failed.rollback();
    await client.execute('INSERT INTO t VALUES (6)');
    assert.equal(await count(reader), 6);
  },

  'many at once': async (client, url, context) => {
    await client.execute('CREATE TABLE t (a INTEGER PRIMARY KEY, b)');
    const many = other(url, context, { concurrency: 40 });
    const inserts = Array.from({ length: 100 }, (_, a) =>
      many.execute({ sql: 'INSERT INTO t VALUES (?, ?)', args: [a, `b${a}`] }),
    );
    const reads = Array.from({ length: 100 }, () => count(many));
    await Promise.all([...inserts, ...reads]);
    assert.equal(await count(client), 100);
  },

  'a client that was closed, and one that connects again': async (client, url, context) => {
    const second = other(url, context);
    await second.execute('SELECT 1');
    await second.reconnect();
    await second.execute('SELECT 1');
    second.close();
    assert.equal(second.closed, true);
    await assert.rejects(second.execute('SELECT 1'));
    await client.execute('SELECT 1');
  },

  'Drizzle: tables, joins, returning, transactions, batches': async (client) => {
    const users = sqliteTable('users', {
      id: integer('id').primaryKey({ autoIncrement: true }),
      name: text('name').notNull(),
      isOld: integer('is_old', { mode: 'boolean' }),
      born: integer('born', { mode: 'timestamp_ms' }),
      tags: text('tags', { mode: 'json' }).$type<string[]>(),
      key: blob('key', { mode: 'buffer' }),
      large: blob('large', { mode: 'bigint' }),
      height: real('height'),
    });
    const database = drizzle(client);
    await database.run(
      sql`CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, is_old INTEGER, born INTEGER, tags TEXT, key BLOB, large BLOB, height REAL)`,
    );
    const ann = {
      ...{ name: 'Ann', isOld: true, born: new Date(5_000), tags: ['a', 'b'] },
      ...{ key: Buffer.from([1, 2, 3]), large: 2n ** 70n, height: 1.75 },
    };
    const [inserted] = await database.insert(users).values(ann).returning();
    assert.deepEqual(inserted, { id: 1, ...ann });
    await database.insert(users).values([{ name: 'Bob' }, { name: 'Cy' }]);
    await assert.rejects(
      database.transaction(async (transaction) => {
        await transaction.update(users).set({ name: 'Dan' });
        assert.equal((await transaction.select().from(users).where(eq(users.name, 'Dan'))).length, 3);
        throw new Error('no, thanks');
      }),
      /no, thanks/,
    );
    await database.transaction(async (transaction) => {
      await transaction.delete(users).where(eq(users.name, 'Bob'));
    });
    const [names, deleted] = await database.batch([
      database.select({ name: users.name }).from(users).orderBy(users.id),
      database.delete(users).where(eq(users.name, 'Cy')),
    ]);
    assert.deepEqual([names, deleted.rowsAffected], [[{ name: 'Ann' }, { name: 'Cy' }], 1]);
    assert.equal(await database.$count(users), 1);
  },

  'Kysely: queries and transactions': async (client, url) => {
    type Tables = { pets: { id: Generated<number>; name: string; weight: number | null } };
    const database = new Kysely<Tables>({ dialect: new LibsqlDialect({ url }) });
    await database.schema
      .createTable('pets')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull().unique())
      .addColumn('weight', 'real')
      .execute();
    const pets = [
      { name: 'Rex', weight: 12.5 },
      { name: 'Tom', weight: null },
    ];
    await database.insertInto('pets').values(pets).execute();
    await assert.rejects(database.insertInto('pets').values({ name: 'Rex' }).execute(), /UNIQUE/);
    await database.transaction().execute(async (transaction) => {
      await transaction.updateTable('pets').set({ weight: 4 }).where('name', '=', 'Tom').execute();
    });
    await assert.rejects(
      database.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('pets').execute();
        throw new Error('no, thanks');
      }),
      /no, thanks/,
    );
    const rows = await database.selectFrom('pets').select(['name', 'weight']).orderBy('id').execute();
    assert.deepEqual(rows, [pets[0], { name: 'Tom', weight: 4 }]);
    await database.destroy();
    assert.equal(await count(client, 'pets'), 2);
  },
};
