import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overBothDatabases, type TestStore } from '../../test/support/center-database.ts';
import { SpeilError } from '../core/error.ts';
import { BATCH_BYTES_DEFAULT } from '../core/limits.ts';

const SOURCE = 'postgres://ola:hemmelig@db.example/crm';

const failsWith = (work: Promise<unknown>, code: string, pattern: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code);
    assert.match(`${error.message}\n${error.hint}`, pattern);
    return true;
  });

overBothDatabases((opened) => {
  const store = () => opened().store;

  test('a tenant is kept with its source, whose password is not shown', async () => {
    const acme = await store().addTenant({ name: 'acme', source: SOURCE });
    assert.deepEqual(acme, {
      name: 'acme',
      sourceDisplay: 'postgres://ola@db.example/crm',
      paused: false,
      maintenance: false,
      preferences: { batchBytes: BATCH_BYTES_DEFAULT, skipTables: [], blockedTables: [] },
      createdAt: '2026-03-01T12:00:00.000Z',
    });
    assert.deepEqual(await store().tenant('acme'), acme);
    assert.equal(await store().source('acme'), SOURCE);
    await store().addTenant({ name: 'Ålesund_2', source: 'sqlite:/data/crm.db' });
    assert.deepEqual(
      (await store().tenants()).map(({ name, sourceDisplay }) => [name, sourceDisplay]),
      [
        ['acme', 'postgres://ola@db.example/crm'],
        ['Ålesund_2', '/data/crm.db'],
      ],
    );
  });

  test('a tenant is there once, and its name is one that files and tables can have', async () => {
    await store().addTenant({ name: 'acme', source: SOURCE });
    await failsWith(store().addTenant({ name: 'acme', source: SOURCE }), 'CONFLICT', /acme already/);
    for (const name of ['', '1st', 'a b', 'a/b', 'a.b', 'x'.repeat(41), '../etc']) {
      await failsWith(store().addTenant({ name, source: SOURCE }), 'USAGE', /up to 40 letters/);
    }
    await failsWith(store().addTenant({ name: 'b', source: 'oracle://x' }), 'UNKNOWN_SCHEME', /oracle/);
    assert.equal((await store().tenants()).length, 1);
  });

  test('a source address is changed', async () => {
    await store().addTenant({ name: 'acme', source: SOURCE });
    const saved = await store().saveSource('acme', 'postgres://kari:ny@db2/crm');
    assert.equal(saved.sourceDisplay, 'postgres://kari@db2/crm');
    assert.equal(await store().source('acme'), 'postgres://kari:ny@db2/crm');
  });

  test('what is named is changed, and nothing else', async () => {
    const acme = await store().addTenant({ name: 'acme', source: SOURCE });
    await store().addTenant({ name: 'globex', source: SOURCE });
    const preferences = { batchBytes: 5_000, skipTables: ['log', '"a,b"'], blockedTables: ['secret\0'] };
    assert.deepEqual(await store().saveTenant('acme', {}), acme);
    assert.deepEqual(await store().saveTenant('acme', { paused: true }), { ...acme, paused: true });
    assert.deepEqual(await store().saveTenant('acme', { maintenance: true, preferences }), {
      ...acme,
      paused: true,
      maintenance: true,
      preferences: { ...preferences, blockedTables: ['secret\uFFFD'] },
    });
    assert.equal((await store().tenant('globex')).paused, false);
  });

  test('preferences that two change at the same time are both kept', async () => {
    await store().addTenant({ name: 'acme', source: SOURCE });
    await Promise.all([
      store().saveTenant('acme', { preferences: { skipTables: ['log'] } }),
      store().saveTenant('acme', { preferences: { blockedTables: ['credential'] } }),
      store().saveTenant('acme', { preferences: { batchBytes: 5_000 } }),
    ]);
    assert.deepEqual((await store().tenant('acme')).preferences, {
      batchBytes: 5_000,
      skipTables: ['log'],
      blockedTables: ['credential'],
    });
  });

  test('a tenant that is not there is told with those that are', async () => {
    await failsWith(store().tenant('acme'), 'NOT_FOUND', /no tenant acme\n.*speil center tenant add/);
    for (let index = 10; index < 22; index++) await store().addTenant({ name: `t${index}`, source: SOURCE });
    const listed = /no tenant acme\nThere are t10, t11, t12, .*, t19 and more: speil center tenant list/;
    for (const work of [
      () => store().tenant('acme'),
      () => store().source('acme'),
      () => store().saveSource('acme', SOURCE),
      () => store().saveTenant('acme', { paused: true }),
      () => store().saveTenant('acme', {}),
      () => store().removeTenant('acme'),
      () => store().mirror('acme', 'app'),
      () => store().addEvent({ kind: 'error', tenant: 'acme', message: 'x' }),
      () => store().createToken({ role: 'tenant', tenant: 'acme' }),
    ]) {
      await failsWith(work(), 'NOT_FOUND', listed);
    }
  });

  test('with a tenant goes all that is its own', async () => {
    const { database } = opened();
    for (const tenant of ['acme', 'globex']) await fill(opened(), tenant);
    const left = async (tenant: string) =>
      Promise.all(
        [
          'tenant WHERE name',
          'mirror WHERE tenant',
          'schedule WHERE tenant',
          'run WHERE tenant',
          'event WHERE tenant',
          'token WHERE tenant',
        ].map(async (table) => (await database.query(`SELECT 1 FROM speil_center.${table} = $1`, [tenant])).length),
      );
    assert.deepEqual(await left('acme'), [1, 1, 1, 1, 1, 1]);
    await store().removeTenant('acme');
    assert.deepEqual(await left('acme'), [0, 0, 0, 0, 0, 0]);
    assert.deepEqual(await left('globex'), [1, 1, 1, 1, 1, 1]);
    assert.equal((await database.query('SELECT 1 FROM speil_center.alert')).length, 1);
  });

  test('settings are kept, each by itself', async () => {
    const nothing = { maintenance: false, quietHours: null, webhook: null };
    const quietHours = { fromMinute: 90, toMinute: 180, timezone: 'Europe/Oslo' };
    assert.deepEqual(await store().settings(), nothing);
    assert.deepEqual(await store().saveSettings({ quietHours }), { ...nothing, quietHours });
    assert.deepEqual(await store().saveSettings({ webhook: 'https://hooks.example/hemmelig' }), {
      ...nothing,
      quietHours,
      webhook: 'https://hooks.example/hemmelig',
    });
    assert.deepEqual(await store().saveSettings({ maintenance: true, quietHours: null, webhook: null }), {
      ...nothing,
      maintenance: true,
    });
    assert.deepEqual(await store().saveSettings({}), await store().settings());
  });

  test('two centers agree on the secret of the webhook', async () => {
    const other = await opened().another();
    const [one, two] = await Promise.all([store().webhookSecret(), other.webhookSecret()]);
    assert.match(one, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assert.equal(one, two);
  });
});

async function fill({ store }: TestStore, tenant: string): Promise<void> {
  await store.addTenant({ name: tenant, source: SOURCE });
  const transport = { kind: 'dialled' } as const;
  const mirror = await store.addMirror({ tenant, application: 'app', publicKey: 'PEM', transport, everyMs: 1 }, 0);
  await store.beginRun({ tenant, application: 'app', trigger: 'schedule', center: 'one' });
  await store.addEvent({ kind: 'error', tenant, message: 'x' });
  await store.createToken({ role: 'tenant', tenant });
  await store.saveAlertState(mirror.id, { failedAtMs: null, behind: false }, { failedAtMs: 1, behind: false });
}
