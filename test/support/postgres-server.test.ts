import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import pg from 'pg';
import { connect } from './postgres-client.ts';
import { POSTGRES_VERSIONS, type PostgresServer, startPostgres } from './postgres-server.ts';
import { sharedPostgres } from './shared-postgres.ts';
import { eventually } from './workload.ts';

const identityOf = async (server: PostgresServer) =>
  (await server.sql('postgres', 'SELECT system_identifier::text AS id FROM pg_control_system()'))[0]?.['id'];

for (const version of POSTGRES_VERSIONS) {
  test(`PostgreSQL ${version} starts, answers in UTF-8 and leaves nothing`, async () => {
    const server = await startPostgres({ version });
    const url = await server.createDatabase('Åse "x"');
    const [row] = await server.sql(
      'Åse "x"',
      `SELECT current_setting('server_version_num')::int / 10000 AS v, 'ø' AS t,
      current_setting('server_encoding') AS e, current_database() AS d`,
    );
    assert.deepEqual({ ...row }, { v: version, t: 'ø', e: 'UTF8', d: 'Åse "x"' });
    assert.match(url, /^postgres:\/\/postgres@127\.0\.0\.1:\d+\/%C3%85se/);
    await server[Symbol.asyncDispose]();
    assert.equal(existsSync(server.dataDirectory), false);
    await assert.rejects(connect(url), /ECONNREFUSED/);
  });
}

test('servers have identities of their own, and a clone has that of its original', async () => {
  const first = await sharedPostgres();
  await using second = await startPostgres();
  assert.notEqual(await identityOf(first), await identityOf(second));
  await second.sql('postgres', 'CREATE TABLE t AS SELECT 1 AS a');
  const backup = await second.backup();
  await second.sql('postgres', 'INSERT INTO t VALUES (2)');
  await using clone = await startPostgres({ from: backup });
  assert.equal(await identityOf(clone), await identityOf(second));
  assert.equal((await clone.sql('postgres', 'SELECT * FROM t')).length, 1);
  const port = second.port;
  await second.restore(backup);
  assert.equal(second.port, port);
  assert.equal((await second.sql('postgres', 'SELECT * FROM t')).length, 1);
});

test('a killed server recovers on the same port', async () => {
  await using server = await startPostgres({ version: 13, settings: { synchronous_commit: 'on' } });
  await server.sql('postgres', 'CREATE TABLE t AS SELECT 7 AS a');
  const [port, client] = [server.port, await connect(server.url())];
  await server.kill();
  await assert.rejects(client.query('SELECT 1'));
  assert.equal(server.running, false);
  await server.start();
  assert.equal(server.port, port);
  assert.deepEqual({ ...(await server.sql('postgres', 'SELECT a FROM t'))[0] }, { a: 7 });
  await server.restart('smart');
  assert.equal(server.port, port);
});

test('passwords and TLS are asked for where a test wants them', async () => {
  await using server = await startPostgres({ auth: 'scram-sha-256', tls: 'required', settings: { work_mem: '5MB' } });
  await assert.rejects(connect(server.url()), /no encryption/);
  const ssl = { rejectUnauthorized: false };
  await assert.rejects(
    new pg.Client({ connectionString: server.url().replace(/:[^:@]+@/, ':wrong@'), ssl }).connect(),
    /password/,
  );
  const client = new pg.Client({
    connectionString: `${server.url()}?sslmode=verify-full&sslrootcert=${server.certificate}`,
  });
  await client.connect();
  const [row] = (
    await client.query(`SELECT ssl, current_setting('work_mem') AS m FROM pg_stat_ssl WHERE pid = pg_backend_pid()`)
  ).rows;
  assert.deepEqual(row, { ssl: true, m: '5MB' });
  await client.end();
});

test('a server that cannot start says why', async () => {
  await assert.rejects(startPostgres({ settings: { no_such_setting: '1' } }), /unrecognized configuration parameter/);
});

test('kill -9 of the process that started a server leaves neither server nor files', async () => {
  const script = `import { startPostgres } from ${JSON.stringify(new URL('postgres-server.ts', import.meta.url).href)};
    const server = await startPostgres(); console.log(server.url()); console.log(server.dataDirectory); setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: owner.stdout })[Symbol.asyncIterator]();
  const url = String((await lines.next()).value);
  const directory = String((await lines.next()).value);
  await (await connect(url)).end();
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  await eventually(() => assert.equal(existsSync(directory), false), { withinMs: 10_000 });
  await assert.rejects(connect(url), /ECONNREFUSED/);
});
