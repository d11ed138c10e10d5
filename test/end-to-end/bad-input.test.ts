import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { assertSameRows } from '../support/dump.ts';
import { withClient } from '../support/postgres-client.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { type JsonLine, SpeilProcess, speil } from '../support/speil-process.ts';
import { eventually, withDirectory } from '../support/workload.ts';

type Told = { readonly code: string; readonly message: string; readonly hint: string | null };

/** What the command's last word says went wrong. */
function toldBy(events: readonly JsonLine[]): Told {
  const errors = events.flatMap((event) => {
    if (event.event === 'error') return [event as unknown as Told];
    return event['error'] === undefined ? [] : [event['error'] as Told];
  });
  const told = errors.at(-1);
  assert.ok(told, JSON.stringify(events));
  return told;
}

type Expected = { readonly exit: number; readonly code: string; readonly message?: RegExp; readonly hint?: RegExp };

/** Runs `speil mirror` and expects it to be refused so. */
async function refused(
  source: string,
  mirror: string,
  expected: Expected,
  more: readonly string[] = [],
): Promise<Told> {
  const { code, events, stderr } = await speil(['mirror', source, mirror, '--json', ...more]);
  const told = toldBy(events);
  assert.deepEqual([code, told.code], [expected.exit, expected.code], `${JSON.stringify(told)} ${stderr}`);
  assert.match(told.message, expected.message ?? /./);
  assert.match(told.hint ?? '', expected.hint ?? /./);
  return told;
}

function shop(path: string, rows = 3): string {
  using database = new DatabaseSync(path);
  database.exec(`CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
    INSERT INTO item SELECT i, 'item ' || i FROM n`);
  return path;
}

test('addresses that lead nowhere', async () => {
  using directory = withDirectory();
  const source = shop(directory.file('shop.db'));
  await refused('mysql://somewhere/shop', source, { exit: 2, code: 'UNKNOWN_SCHEME', hint: /postgres:/ });
  await refused(directory.file('missing.db'), directory.file('m.db'), {
    exit: 2,
    code: 'FILE_MISSING',
    message: /missing\.db/,
  });
  await refused(source, directory.file('no/such/folder/m.db'), { exit: 2, code: 'FILE_MISSING' });
  await refused(source, source, { exit: 2, code: 'SAME_DATABASE' });
  await refused(source, `${directory.file('.')}/../${directory.file('shop.db').split('/').slice(-2).join('/')}`, {
    exit: 2,
    code: 'SAME_DATABASE',
  });
  writeFileSync(directory.file('letter.db'), 'Dear Sir or Madam, this is not a database. '.repeat(50));
  await refused(directory.file('letter.db'), directory.file('m.db'), { exit: 2, code: 'NOT_A_DATABASE' });
});

test('servers that do not answer, refuse, or are not what they seem', async () => {
  using directory = withDirectory();
  await using server = await startPostgres({ auth: 'scram-sha-256' });
  const mirror = directory.file('m.db');
  const closed = createServer();
  const port = await new Promise<number>((resolve) =>
    closed.listen(0, '127.0.0.1', () => resolve((closed.address() as { port: number }).port)),
  );
  await new Promise((resolve) => closed.close(resolve));
  const unreachable = new SpeilProcess(['mirror', `postgres://me@127.0.0.1:${port}/shop`, mirror, '--json']);
  const { code } = await unreachable.exit;
  assert.equal(code, 1);
  assert.deepEqual(toldBy(unreachable.events).code, 'UNREACHABLE');
  const wrong = server.url().replace(/:[^:@/]+@/, ':not-the-password@');
  const told = await refused(wrong, mirror, { exit: 1, code: 'AUTHENTICATION_REFUSED', hint: /password/ });
  assert.equal(JSON.stringify(told).includes('not-the-password'), false);
  await refused(server.url('nowhere'), mirror, { exit: 1, code: 'DATABASE_MISSING', message: /nowhere/ });
  await refused(`${server.url()}?sslmode=verify-full`, mirror, { exit: 1, code: 'TLS_FAILED', hint: /sslmode/ });
});

test('a certificate that nobody vouches for is refused, and one that is named is taken', async () => {
  using directory = withDirectory();
  await using server = await startPostgres({ tls: true });
  const mirror = directory.file('m.db');
  await refused(`${server.url()}?sslmode=verify-full`, mirror, { exit: 1, code: 'TLS_FAILED', hint: /sslrootcert/ });
  const trusted = `${server.url()}?sslmode=verify-full&sslrootcert=${server.certificate}`;
  const { code, stderr } = await speil(['mirror', trusted, mirror]);
  assert.equal(code, 0, stderr);
});

test('the same PostgreSQL database under two names is one', async () => {
  const server = await sharedPostgres();
  const url = await server.createDatabase();
  await refused(url, url.replace('127.0.0.1', 'localhost'), { exit: 2, code: 'SAME_DATABASE' });
});

test('a PostgreSQL mirror that cannot be written', async () => {
  using directory = withDirectory();
  const server = await sharedPostgres();
  const source = shop(directory.file('shop.db'));
  const url = await server.createDatabase();
  await withClient(url, (client) =>
    client.query(`ALTER DATABASE "${new URL(url).pathname.slice(1)}" SET default_transaction_read_only = on`),
  );
  await refused(source, url, { exit: 1, code: 'READ_ONLY' });
});

test('a mirror that another task holds: refused, with who holds it', async () => {
  using directory = withDirectory();
  const server = await sharedPostgres();
  const source = shop(directory.file('shop.db'));
  for (const mirror of [directory.file('m.db'), await server.createDatabase()]) {
    await using holder = new SpeilProcess(['mirror', source, mirror, '--follow', '--json']);
    await holder.waitFor(({ event }) => event === 'cycle');
    const told = await refused(source, mirror, { exit: 1, code: 'MIRROR_BUSY' });
    assert.match(told.message, new RegExp(`\\b${holder.pid}\\b`), mirror);
    await holder.kill();
    const after = await eventually(async () => {
      const result = await speil(['mirror', source, mirror, '--json']);
      assert.equal(result.code, 0, result.stdout);
      return result;
    });
    assert.equal(after.code, 0, 'free again once the holder is dead');
  }
});

test('a mirror of another source is refused and untouched, until it is taken over', async () => {
  using directory = withDirectory();
  const [one, other] = [shop(directory.file('one.db'), 3), shop(directory.file('other.db'), 5)];
  const mirror = directory.file('m.db');
  assert.equal((await speil(['mirror', one, mirror])).code, 0);
  await refused(other, mirror, { exit: 1, code: 'OTHER_LINEAGE', hint: /--take-over/ });
  await assertSameRows(one, mirror);
  assert.equal((await speil(['mirror', other, mirror, '--take-over'])).code, 0);
  await assertSameRows(other, mirror);
  assert.equal((await speil(['mirror', other, mirror])).code, 0, 'from then on it is its mirror');
});

test('a connection that is killed in the middle of batches: the task goes on by itself', async () => {
  using directory = withDirectory();
  const server = await sharedPostgres();
  const source = shop(directory.file('shop.db'), 60_000);
  const mirror = await server.createDatabase();
  await using running = new SpeilProcess(['mirror', source, mirror, '--batch-size', '20000', '--json']);
  let kills = 0;
  await running.waitFor(({ event }) => event === 'copy-progress');
  while (kills < 3) {
    const [row] = await withClient(mirror, async (client) => {
      const killed = await client.query(
        "SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'speil%'",
      );
      return killed.rows as { n: number }[];
    });
    const found = row?.n ?? 0;
    kills += found;
    if (found > 0 && kills < 3)
      await eventually(() =>
        assert.ok(running.events.filter(({ event }) => event === 'retry').length >= kills || isOver(running)),
      );
    if (isOver(running)) break;
  }
  const { code } = await running.exit;
  assert.equal(code, 0, running.stderr);
  assert.ok(running.events.some(({ event }) => event === 'retry'));
  await assertSameRows(source, mirror);
});

const isOver = (running: SpeilProcess): boolean => running.events.some(({ event }) => event === 'cycle');

test('a value that the mirror refuses is named, and the other tables complete', async () => {
  const server = await sharedPostgres();
  const [source, mirror] = [await server.createDatabase(), await server.createDatabase()];
  await withClient(source, (client) =>
    client.query(
      'CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1)',
    ),
  );
  assert.equal((await speil(['mirror', source, mirror])).code, 0);
  await withClient(mirror, (client) => client.query('ALTER TABLE a ALTER COLUMN n TYPE smallint'));
  await withClient(source, (client) => client.query('UPDATE a SET n = 100000; INSERT INTO b VALUES (2)'));
  const { code, events } = await speil(['mirror', source, mirror, '--json']);
  const tables = (events.at(-1)?.['tables'] ?? []) as { table: string; inserted: number; error?: Told }[];
  assert.equal(code, 1);
  assert.partialDeepStrictEqual(tables, [
    { table: 'a', error: { code: 'VALUE_REFUSED' } },
    { table: 'b', inserted: 1 },
  ]);
  assert.match(tables[0]?.error?.message ?? '', /smallint/);
});

test('other time zones, date styles and clocks at both ends make no difference', async () => {
  const server = await sharedPostgres();
  const [source, mirror] = [await server.createDatabase(), await server.createDatabase()];
  const set = (url: string, name: string, value: string) =>
    withClient(url, (client) =>
      client.query(`ALTER DATABASE "${new URL(url).pathname.slice(1)}" SET ${name} = '${value}'`),
    );
  await set(source, 'TimeZone', 'Asia/Kathmandu');
  await set(source, 'DateStyle', 'German, DMY');
  await set(source, 'IntervalStyle', 'sql_standard');
  await set(source, 'bytea_output', 'escape');
  await set(source, 'extra_float_digits', '-3');
  await set(mirror, 'TimeZone', 'America/St_Johns');
  await set(mirror, 'DateStyle', 'SQL, MDY');
  await withClient(source, (client) =>
    client.query(`CREATE TABLE t (id int PRIMARY KEY, z timestamptz, d date, i interval, b bytea, f float8);
      INSERT INTO t VALUES (1, '2026-03-29 02:30:00+01', '2026-02-01', '1 mon -2 days 03:04:05.6', '\\x00ff5c', 0.1::float8 + 0.2)`),
  );
  assert.equal((await speil(['mirror', source, mirror], { env: { TZ: 'Pacific/Kiritimati' } })).code, 0);
  await assertSameRows(source, mirror);
});
