import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedPostgres } from '../../../test/support/shared-postgres.ts';
import { parseLocation } from '../parse-location.ts';
import { PostgresConnection, type PostgresLocation } from './connection.ts';

async function open(): Promise<PostgresConnection> {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  return PostgresConnection.open(parseLocation(url) as PostgresLocation, 'test');
}

async function read(connection: PostgresConnection, sql: string): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of connection.copyOut(sql)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const one = async (connection: PostgresConnection): Promise<unknown> =>
  (await connection.one<{ n: number }>('SELECT 1 AS n')).n;

test('rows of every length arrive whole, however the packets are cut', async () => {
  await using connection = await open();
  const lengths = [0, 1, 3, 5, 90, 4096, 16_379, 65_535, 65_536, 1_048_575, 1_048_576, 3_000_001, 0, 7];
  const sql = `COPY (SELECT repeat('x', n) FROM unnest(ARRAY[${lengths}]) n) TO STDOUT`;
  assert.equal(await read(connection, sql), lengths.map((length) => `${'x'.repeat(length)}\n`).join(''));
  const many = await read(connection, "COPY (SELECT i, 'row ' || i FROM generate_series(1, 200000) i) TO STDOUT");
  const expected = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\trow ${i + 1}\n`).join('');
  assert.ok(many === expected);
  assert.equal(await read(connection, 'COPY (SELECT 1 WHERE false) TO STDOUT'), '');
});

test('a slow reader makes the server wait and misses nothing', async () => {
  await using connection = await open();
  let bytes = 0;
  for await (const piece of connection.copyOut(
    "COPY (SELECT repeat('y', 99) FROM generate_series(1, 80000)) TO STDOUT",
  )) {
    bytes += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(bytes, 8_000_000);
});

test('statements may come before the rows, and notices between them', async () => {
  await using connection = await open();
  await connection.query(`CREATE FUNCTION public.noisy(i int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'row %', i; RETURN i; END $$`);
  const rows = await read(
    connection,
    'SET work_mem = 100; COPY (SELECT public.noisy(i) FROM generate_series(1, 5) i) TO STDOUT',
  );
  assert.equal(rows, '1\n2\n3\n4\n5\n');
});

test('an error before the rows, or among them, is thrown, and the session goes on', async () => {
  await using connection = await open();
  await assert.rejects(read(connection, 'COPY nowhere TO STDOUT'), { name: 'SpeilError' });
  assert.equal(connection.isUsable, true);
  await assert.rejects(
    read(connection, 'COPY (SELECT 1 / (50000 - i) FROM generate_series(1, 90000) i) TO STDOUT'),
    /division by zero/,
  );
  assert.equal(connection.isUsable, true);
  assert.equal(await one(connection), 1);
});

test('a reader that goes away leaves a session that says so', async () => {
  await using connection = await open();
  for await (const _ of connection.copyOut("COPY (SELECT repeat('z', 1000) FROM generate_series(1, 90000)) TO STDOUT"))
    break;
  assert.equal(connection.isUsable, false);
});

test('a killed session ends the reading of rows', async () => {
  await using connection = await open();
  const { pid } = await connection.one<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const server = await sharedPostgres();
  const reading = async () => {
    let pieces = 0;
    for await (const _ of connection.copyOut(
      "COPY (SELECT repeat('z', 1000) FROM generate_series(1, 200000)) TO STDOUT",
    )) {
      if (pieces++ === 3) await server.sql('postgres', 'SELECT pg_terminate_backend($1)', [pid]);
    }
  };
  await assert.rejects(reading(), { code: 'CONNECTION_LOST' });
  assert.equal(connection.isUsable, false);
});

test('rows go in at once, and are counted', async () => {
  await using connection = await open();
  await connection.query('CREATE TABLE public.t (a int, b text)');
  const rows = Array.from({ length: 100_000 }, (_, i) => `${i}\tæøå ${i}\n`).join('');
  assert.equal(await connection.copyIn('COPY public.t FROM STDIN', Buffer.from(rows)), 100_000);
  const [row] = await connection.query("SELECT count(*)::int AS n, max(b) AS b FROM public.t WHERE b LIKE 'æøå %'");
  assert.deepEqual({ ...row }, { n: 100_000, b: 'æøå 99999' });
});

test('a refused COPY throws its rows away, and the session goes on', async () => {
  await using connection = await open();
  const rows = Buffer.from('1\n'.repeat(2_000_000));
  await assert.rejects(connection.copyIn('COPY nowhere FROM STDIN', rows), { name: 'SpeilError' });
  assert.equal(await one(connection), 1);
  await connection.query('CREATE TABLE public.t (a int)');
  await assert.rejects(
    connection.copyIn('COPY public.t FROM STDIN', Buffer.from(`1\nx\n${'2\n'.repeat(500_000)}`)),
    /invalid input syntax/,
  );
  assert.equal(await one(connection), 1);
  assert.equal((await connection.query('SELECT FROM public.t')).length, 0);
});

test('what is posted goes out in front of the next statement, of any kind', async () => {
  await using connection = await open();
  connection.post('CREATE TEMP TABLE t (a int)');
  assert.equal(await connection.copyIn('COPY pg_temp.t FROM STDIN', Buffer.from('1\n2\n')), 2);
  connection.post('INSERT INTO pg_temp.t VALUES (3)');
  assert.equal(await read(connection, 'COPY (SELECT a FROM pg_temp.t ORDER BY a) TO STDOUT'), '1\n2\n3\n');
  connection.post('INSERT INTO pg_temp.t VALUES (4)');
  assert.equal((await connection.query('SELECT FROM pg_temp.t WHERE a < $1', [9])).length, 4);
  connection.post('INSERT INTO pg_temp.t VALUES (5)');
  assert.equal(await connection.execute('UPDATE pg_temp.t SET a = -a'), 5);
});

test('what was posted fails the next statement, and is no hindrance to a rollback', async () => {
  await using connection = await open();
  connection.post('BEGIN');
  connection.post('INSERT INTO nowhere VALUES (1)');
  await assert.rejects(connection.query('COMMIT'), /nowhere/);
  connection.post('INSERT INTO nowhere VALUES (1)');
  await connection.query('ROLLBACK');
  assert.equal(await one(connection), 1);
});
