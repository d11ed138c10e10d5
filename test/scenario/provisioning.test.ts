import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { createTenantMirrors, type PooledMirrors } from '../../src/client/tenants/create.ts';
import type { MirrorDatabase } from '../../src/database/mirror-database.ts';
import {
  isFull,
  missingForProvision,
  openMirror,
  provisionedTenants,
  provisionMirror,
  runtime,
  thisProcess,
} from '../../src/open.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { eventually, withDirectory } from '../support/workload.ts';

const pool = (template: string): PooledMirrors =>
  createTenantMirrors({
    template,
    open: openMirror,
    provision: provisionMirror,
    isFull,
    holder: thisProcess,
    clock: runtime.clock,
  });

const makeMetadata = (mirror: MirrorDatabase) => mirror.transaction({ relaxed: false }, (tx) => tx.ensureMetadata());
const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));

/** The template and how often a database of that name was made. */
async function postgresTemplate(prefix: string, user?: string) {
  const server = await sharedPostgres();
  const template = server.url('X', user).replace(/X$/, `${prefix}_{tenant}`);
  const databases = async () =>
    (await server.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE '${prefix}%' ORDER BY 1`)).map(
      (row) => String(row['datname']),
    );
  return { server, template, databases };
}

/** Another process that asks for the database many times at once. */
async function provisionElsewhere(address: string): Promise<void> {
  const open = new URL('../../src/open.ts', import.meta.url).href;
  const code = `const { provisionMirror } = await import(${JSON.stringify(open)});
    await Promise.all(Array.from({ length: 5 }, () => provisionMirror(${JSON.stringify(address)})));`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', code];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const [exit] = await once(child, 'exit');
  assert.equal(exit, 0);
}

test('PostgreSQL: ten first calls at once, of ten tenants too, make each database once', async () => {
  const { template, databases } = await postgresTemplate('first');
  await using mirrors = pool(template);
  await Promise.all(times(10, () => mirrors.use('acme', '', makeMetadata)));
  await Promise.all(times(10, (index) => mirrors.use(`t${index}`, '', makeMetadata)));
  assert.deepEqual(await databases(), ['first_acme', ...times(10, (index) => `first_t${index}`)]);
  assert.deepEqual(await provisionedTenants(template), ['acme', ...times(10, (index) => `t${index}`)]);
});

test('PostgreSQL: a login with few connections serves many tenants, a few at a time', async () => {
  const { server, template, databases } = await postgresTemplate('few', 'few_maker');
  await server.sql('postgres', 'CREATE ROLE few_maker LOGIN CREATEDB CONNECTION LIMIT 3');
  await using mirrors = pool(template);
  for (let round = 0; round < 2; round++) {
    await Promise.all(times(8, (index) => mirrors.use(`t${index}`, '', makeMetadata)));
    assert.ok(mirrors.openCount <= 3);
  }
  assert.equal((await databases()).length, 8);
});

test('PostgreSQL: when others have all connections, the call says so at once', async () => {
  const { server, template } = await postgresTemplate('none', 'none_maker');
  await server.sql('postgres', 'CREATE ROLE none_maker LOGIN CREATEDB CONNECTION LIMIT 0');
  await using mirrors = pool(template);
  await assert.rejects(mirrors.use('acme', '', makeMetadata), { code: 'UNREACHABLE', recovery: 'retry' });
});

test('PostgreSQL: two processes that make the same database at the same time both find it', async () => {
  const { template, databases } = await postgresTemplate('both');
  const address = template.replace('{tenant}', 'acme');
  await Promise.all([
    provisionElsewhere(address),
    provisionElsewhere(address),
    ...times(5, () => provisionMirror(address)),
  ]);
  assert.deepEqual(await databases(), ['both_acme']);
});

test('PostgreSQL: names that need quotes and escapes name their own database', async () => {
  const { template, databases, server } = await postgresTemplate('odd "x%');
  await using mirrors = pool(template.replace('odd "x%', 'odd%20%22x%25'));
  await mirrors.use('Ørsted-1', '', makeMetadata);
  assert.deepEqual(await databases(), ['odd "x%_Ørsted-1']);
  assert.equal((await server.sql('odd "x%_Ørsted-1', 'SELECT 1 FROM "Ørsted-1_mirroring"')).length, 0);
});

test('PostgreSQL: a login that may not create databases is told what to grant', async () => {
  const { template, server } = await postgresTemplate('denied', 'no "creator');
  await server.createRole('no "creator');
  const expected = {
    code: 'PRIVILEGE_MISSING',
    hint: /ALTER ROLE "no ""creator" CREATEDB; or CREATE DATABASE "denied_acme" OWNER/,
  };
  await using mirrors = pool(template);
  await assert.rejects(mirrors.use('acme', '', makeMetadata), expected);
  assert.equal(await missingForProvision(template), 'ALTER ROLE "no ""creator" CREATEDB;');
  await server.sql('postgres', 'CREATE DATABASE denied_acme OWNER "no ""creator"');
  await mirrors.use('acme', '', makeMetadata);
});

test('PostgreSQL: a name that would be cut is refused, since two tenants could share what is left', async () => {
  const { template } = await postgresTemplate('x'.repeat(60));
  await using mirrors = pool(template);
  await assert.rejects(mirrors.use('acme', '', makeMetadata), { code: 'USAGE', message: /longer than 63 bytes/ });
});

test('PostgreSQL: a mirror has one holder, a session that is cut is opened anew, a database that is dropped made anew', async () => {
  const { template, server, databases } = await postgresTemplate('lost');
  await using mirrors = pool(template);
  await mirrors.use('acme', '', makeMetadata);
  await using others = pool(template);
  await assert.rejects(others.use('acme', '', makeMetadata), { code: 'MIRROR_BUSY' });
  const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'lost_acme'`;
  await server.sql('postgres', cut);
  await eventually(() => mirrors.use('acme', '', makeMetadata));
  await assert.rejects(
    mirrors.use('acme', '', (mirror) =>
      mirror.transaction({ relaxed: false }, async (tx) => {
        await server.sql('postgres', cut);
        await tx.ensureMetadata();
      }),
    ),
    { code: 'CONNECTION_LOST' },
  );
  await eventually(() => mirrors.use('acme', '', makeMetadata));
  await server.sql('postgres', 'DROP DATABASE lost_acme WITH (FORCE)');
  await eventually(async () => assert.deepEqual(await mirrors.use('acme', '', (mirror) => mirror.tenants()), []));
  assert.deepEqual(await databases(), ['lost_acme']);
});

test('PostgreSQL: without {tenant} one database is one tenant’s', async () => {
  const server = await sharedPostgres();
  await using mirrors = pool(await server.createDatabase());
  await mirrors.use('acme', '', makeMetadata);
  await assert.rejects(mirrors.use('other', '', makeMetadata), { code: 'CONFLICT', message: /tenant acme/ });
});

test('SQLite: the folder is made once, whoever comes first, and found again by the template', async () => {
  using directory = withDirectory();
  const template = `sqlite:${directory.file('a/b')}/{tenant}/mirror-{tenant}.db`;
  await Promise.all([
    provisionElsewhere(template.replaceAll('{tenant}', 'acme')),
    ...times(5, () => provisionMirror(template.replaceAll('{tenant}', 'acme'))),
  ]);
  await using mirrors = pool(template);
  await Promise.all(times(10, () => mirrors.use('acme', '', makeMetadata)));
  await mirrors.use('other', '', makeMetadata);
  assert.ok(existsSync(directory.file('a/b/acme/mirror-acme.db')));
  assert.deepEqual(readdirSync(directory.file('a/b')).toSorted(), ['acme', 'other']);
  assert.deepEqual(await provisionedTenants(template), ['acme', 'other']);
});
