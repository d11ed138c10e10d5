import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTestStore, overBothDatabases, type TestStore } from '../../test/support/center-database.ts';
import { SpeilError } from '../core/error.ts';
import { systemRandom as random } from '../runtime/system-random.ts';
import { checkSecrets, resealSecrets } from './key-check.ts';
import { openSecrets } from './secrets.ts';
import { createStore, prepareSecrets } from './store-create.ts';

const SOURCE = 'postgres://ola:hemmelig@db.example/crm';

const newKey = () => randomBytes(32).toString('base64');

const fails = (work: Promise<unknown>, pattern: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, 'CENTER_DATABASE_FAILED');
    assert.match(`${error.message}\n${error.hint}`, pattern);
    return true;
  });

const storeWith = ({ database, folder }: TestStore, environment: string) =>
  createStore(database, { clock: { now: () => 0 }, random, secrets: openSecrets({ environment, dataFolder: folder }) });

overBothDatabases((opened) => {
  test('a source that was moved to another tenant, or changed, is refused', async () => {
    const { store, database } = opened();
    await store.addTenant({ name: 'acme', source: SOURCE });
    await store.addTenant({ name: 'globex', source: 'sqlite:globex.db' });
    await database.exec(
      "UPDATE speil_center.tenant SET source = (SELECT source FROM speil_center.tenant WHERE name = 'acme') WHERE name = 'globex'",
    );
    await fails(store.source('globex'), /source of globex was not written there/);
    assert.equal(await store.source('acme'), SOURCE);
    await database.exec("UPDATE speil_center.tenant SET source = source || 'AAAA' WHERE name = 'acme'");
    await fails(store.source('acme'), /source of acme was not written there/);
    await store.saveSource('acme', SOURCE);
    assert.equal(await store.source('acme'), SOURCE);
  });
});

test('a center with another key is told so before it reads or writes a secret', async () => {
  await using opened = await openTestStore('postgres');
  await opened.store.addTenant({ name: 'acme', source: SOURCE });
  const other = storeWith(opened, newKey());
  const told = /SPEIL_CENTER_SECRET holds .*\n.*share a database need the same key/;
  await fails(other.addTenant({ name: 'globex', source: SOURCE }), told);
  await fails(other.source('acme'), told);
  await fails(other.saveSettings({ webhook: 'https://x' }), told);
  await fails(other.webhookSecret(), told);
  assert.equal((await other.tenants()).length, 1);
  const secrets = openSecrets({ environment: newKey(), dataFolder: opened.folder });
  await fails(checkSecrets(opened.database, secrets), told);
  await fails(prepareSecrets(opened.database, secrets), told);
});

test('after a new key everything is sealed with it, and the old one may go', async () => {
  await using opened = await openTestStore('postgres');
  const { store, database, folder } = opened;
  const old = readFileSync(join(folder, 'secret.key'), 'utf8');
  await store.addTenant({ name: 'acme', source: SOURCE });
  await store.addTenant({ name: 'globex', source: SOURCE });
  await store.saveSettings({ webhook: 'https://hooks.example/x' });
  const secret = await store.webhookSecret();
  const key = newKey();
  const both = openSecrets({ environment: `${key} ${old}`, dataFolder: folder });
  assert.equal(await resealSecrets(database, both), 5);
  assert.equal(await resealSecrets(database, both), 0);
  const after = storeWith(opened, key);
  assert.equal(await after.source('acme'), SOURCE);
  assert.equal((await after.settings()).webhook, 'https://hooks.example/x');
  assert.equal(await after.webhookSecret(), secret);
  await fails(storeWith(opened, old).source('acme'), /encrypted with key/);
});

test('no secret is anywhere in the database', async () => {
  await using opened = await openTestStore('pglite');
  const { store, folder } = opened;
  await store.addTenant({ name: 'acme', source: SOURCE });
  await store.saveSettings({ webhook: 'https://hooks.example/webhook-path' });
  const secrets = [
    'hemmelig',
    'webhook-path',
    await store.webhookSecret(),
    (await store.createToken({ role: 'operator', tenant: null })).secret,
  ];
  await opened.database.exec('CHECKPOINT');
  const files = readdirSync(join(folder, 'database'), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const bytes = files.map((entry) => readFileSync(join(entry.parentPath, entry.name)));
  assert.ok(
    bytes.some((content) => content.includes('postgres://ola@db.example/crm')),
    'the files hold the tenants',
  );
  for (const secret of secrets) {
    assert.deepEqual(
      files.filter((_, index) => bytes[index]?.includes(secret)).map(({ name }) => name),
      [],
      secret,
    );
  }
});
