import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LocalDatabase } from '../../src/index.ts';
import { SpeilError, type SpeilServer, SqlError, startServer } from '../../src/index.ts';

// A server in the application's own process, without the network.

const data = mkdtempSync(join(tmpdir(), 'speil-library-'));
let server: SpeilServer;
let shop: LocalDatabase;

before(async () => {
  server = await startServer({ data, listen: { host: '127.0.0.1', port: 0 } });
  shop = await server.createDatabase('shop');
  await shop.execute('CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, picture BLOB)');
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(data, { recursive: true, force: true });
});

const count = async (): Promise<unknown> => (await shop.execute('SELECT count(*) AS n FROM item')).rows[0]?.['n'];

test('statements with arguments of every kind, by place and by name', async () => {
  const { rowsAffected, lastInsertRowid } = await shop.execute('INSERT INTO item VALUES (?, ?, ?)', [
    1,
    'lamp',
    new Uint8Array([0, 255]),
  ]);
  assert.deepEqual([rowsAffected, lastInsertRowid], [1, 1n]);
  const { columns, rows } = await shop.execute(
    'SELECT *, :yes AS yes, :half AS half, typeof(:whole) AS whole FROM item WHERE id = :id',
    {
      ...{ id: 1n, yes: true, half: 0.5, whole: 7 },
    },
  );
  assert.deepEqual(columns, ['id', 'name', 'picture', 'yes', 'half', 'whole']);
  assert.deepEqual(rows, [
    { id: 1, name: 'lamp', picture: new Uint8Array([0, 255]), yes: 1, half: 0.5, whole: 'integer' },
  ]);
});

test('integers beyond a number are refused, or come as bigint', async () => {
  await assert.rejects(shop.execute('SELECT 9007199254740993'), { code: 'VALUE_REFUSED' });
  const exact = await server.database('shop', { integers: 'bigint' });
  assert.deepEqual((await exact.execute('SELECT 9007199254740993 AS n, 1 AS m')).rows, [
    { n: 9007199254740993n, m: 1n },
  ]);
});

test('what SQLite refuses is an error with its code, and what is no value never gets there', async () => {
  await assert.rejects(
    shop.execute("INSERT INTO item (name) VALUES ('lamp')"),
    (error) => error instanceof SqlError && error.code === 'SQLITE_CONSTRAINT_UNIQUE',
  );
  await assert.rejects(
    shop.execute('SELECT ?', [new Date() as unknown as string]),
    (error) => error instanceof SpeilError && /Date is no value/.test(error.message),
  );
  await assert.rejects(server.database('none'), { code: 'NOT_FOUND' });
  await assert.rejects(server.database('../shop'), { code: 'USAGE' });
  await assert.rejects(server.createDatabase('shop'), { code: 'CONFLICT' });
});

test('a batch is all or nothing', async () => {
  const before = await count();
  const insert = (id: number) => ({ sql: 'INSERT INTO item (id) VALUES (?)', args: [id] });
  const results = await shop.batch([insert(10), insert(11), 'SELECT count(*) AS n FROM item']);
  assert.deepEqual([results.length, results[2]?.rows[0]?.['n']], [3, Number(before) + 2]);
  await assert.rejects(shop.batch([insert(12), insert(10), insert(13)]), SqlError);
  assert.equal(await count(), Number(before) + 2);
  await assert.rejects(shop.batch([insert(14)], 'read'), SqlError);
  assert.deepEqual(await shop.batch([]), []);
});

test('a transaction commits what its work did, or nothing of it', async () => {
  const before = Number(await count());
  const name = await shop.transaction('write', async (transaction) => {
    await transaction.execute("INSERT INTO item (name) VALUES ('chair')");
    return (await transaction.execute("SELECT name FROM item WHERE name = 'chair'")).rows[0]?.['name'];
  });
  assert.equal(name, 'chair');
  const failing = shop.transaction('write', async (transaction) => {
    await transaction.execute('DELETE FROM item');
    throw new Error('changed my mind');
  });
  await assert.rejects(failing, /changed my mind/);
  assert.equal(await count(), before + 1);
  let kept: { execute(sql: string): Promise<unknown> } | null = null;
  await shop.transaction('read', async (transaction) => {
    kept = transaction;
    await assert.rejects(transaction.execute('DELETE FROM item'), SqlError);
  });
  await assert.rejects((kept as unknown as LocalDatabase).execute('SELECT 1'), /the transaction has ended/);
});

test('transactions of many callers come one after another, and all of them are right', async () => {
  await shop.execute('CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER); ');
  await shop.execute('INSERT INTO account VALUES (1, 0)');
  await Promise.all(
    Array.from({ length: 30 }, () =>
      shop.transaction('write', async (transaction) => {
        const { rows } = await transaction.execute('SELECT balance FROM account WHERE id = 1');
        await transaction.execute('UPDATE account SET balance = ? WHERE id = 1', [Number(rows[0]?.['balance']) + 1]);
      }),
    ),
  );
  assert.deepEqual((await shop.execute('SELECT balance FROM account')).rows, [{ balance: 30 }]);
});

test('a statement is cancelled by its signal', async () => {
  const cancelled = new AbortController();
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
  const running = shop.execute(endless, [], { signal: cancelled.signal });
  await shop.execute('SELECT 1');
  cancelled.abort(new Error('enough'));
  await assert.rejects(running);
  assert.equal(typeof (await count()), 'number');
});
