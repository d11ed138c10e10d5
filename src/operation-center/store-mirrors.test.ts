import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOON_MS, overBothDatabases } from '../../test/support/center-database.ts';
import { SpeilError } from '../core/error.ts';
import type { NewMirror } from './store.ts';

const failsWith = (work: Promise<unknown>, code: string, pattern: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code);
    assert.match(`${error.message}\n${error.hint}`, pattern);
    return true;
  });

const newMirror = (tenant: string, application = 'app'): NewMirror => ({
  tenant,
  application,
  publicKey: '-----BEGIN PUBLIC KEY-----\nabc\n',
  transport: { kind: 'http', url: 'https://client.example/' },
  everyMs: 20 * 60_000,
});

overBothDatabases((opened) => {
  const store = () => opened().store;
  const addTenants = async (...names: readonly string[]) => {
    for (const name of names) await store().addTenant({ name, source: 'sqlite:crm.db' });
  };
  const add = async (tenant: string, application: string, dueAtMs: number) =>
    (await store().addMirror(newMirror(tenant, application), dueAtMs)).id;

  test('a mirror is kept with a schedule', async () => {
    await addTenants('acme');
    const mirror = await store().addMirror(newMirror('acme'), 1_234_567_890_123);
    assert.deepEqual(mirror, { ...newMirror('acme'), id: mirror.id, createdAt: '2026-03-01T12:00:00.000Z' });
    const schedule = {
      mirrorId: mirror.id,
      dueAtMs: 1_234_567_890_123,
      failuresInRow: 0,
      requested: false,
      resyncTables: [],
      announcedSkips: [],
      copied: false,
      lastCompletedAtMs: null,
    };
    assert.deepEqual(await store().schedule(mirror.id), schedule);
    assert.deepEqual(await store().mirror('acme', 'app'), mirror);
    assert.deepEqual(await store().mirrorById(mirror.id), mirror);
    assert.deepEqual(await store().schedules(), [{ mirror, schedule }]);
    assert.deepEqual(await store().cycleBasis(mirror.id), {
      mirror,
      schedule,
      tenant: await store().tenant('acme'),
      source: 'sqlite:crm.db',
    });
  });

  test('mirrors are found by tenant and by application', async () => {
    await addTenants('acme', 'globex');
    for (const [tenant, application] of [
      ['globex', 'b'],
      ['acme', 'b'],
      ['acme', 'a'],
    ] as const) {
      await add(tenant, application, 0);
    }
    const names = (mirrors: readonly { tenant: string; application: string }[]) =>
      mirrors.map(({ tenant, application }) => `${tenant} ${application}`);
    assert.deepEqual(names(await store().mirrors()), ['acme a', 'acme b', 'globex b']);
    assert.deepEqual(names(await store().mirrors('acme')), ['acme a', 'acme b']);
    assert.deepEqual(names(await store().mirrors('nobody')), []);
    assert.deepEqual(names(await store().mirrorsOfApplication('b')), ['acme b', 'globex b']);
    assert.deepEqual(names((await store().schedules('acme')).map(({ mirror }) => mirror)), ['acme a', 'acme b']);
  });

  test('a mirror is there once, of a tenant that is there, for an application that can be named', async () => {
    await addTenants('acme');
    await add('acme', 'app', 0);
    await failsWith(add('acme', 'app', 0), 'CONFLICT', /a mirror for app already/);
    await failsWith(add('globex', 'app', 0), 'NOT_FOUND', /no tenant globex\nThere are: acme/);
    for (const application of ['', 'a b', 'a/b', 'x'.repeat(101)]) {
      await failsWith(add('acme', application, 0), 'USAGE', /letters, digits/);
    }
    await add('acme', 'My-app_2.x', 0);
    await failsWith(store().mirror('acme', 'other'), 'NOT_FOUND', /for other\nThere are: My-app_2.x, app/);
  });

  test('a mirror is changed and removed', async () => {
    await addTenants('acme');
    const mirror = await store().addMirror(newMirror('acme'), 0);
    const transport = { kind: 'dialled' } as const;
    assert.deepEqual(await store().saveMirror(mirror.id, {}), mirror);
    assert.deepEqual(await store().saveMirror(mirror.id, { transport, everyMs: 5 }), {
      ...mirror,
      transport,
      everyMs: 5,
    });
    assert.deepEqual(await store().saveMirror(mirror.id, { publicKey: 'new' }), {
      ...mirror,
      transport,
      everyMs: 5,
      publicKey: 'new',
    });
    await store().beginRun({ tenant: 'acme', application: 'app', trigger: 'schedule', center: 'one' });
    await store().removeMirror(mirror.id);
    assert.equal(await store().mirrorById(mirror.id), null);
    assert.equal(await store().cycleBasis(mirror.id), null);
    assert.deepEqual(await store().runs({ limit: 10 }), []);
    const { id } = mirror;
    for (const work of [
      () => store().removeMirror(id),
      () => store().saveMirror(id, {}),
      () => store().schedule(id),
      () => store().saveSchedule(id, {}),
      () => store().addResync(id, ['a']),
      () => store().resyncBegun(id, ['a']),
    ]) {
      await failsWith(work(), 'NOT_FOUND', /no mirror with the id/);
    }
  });

  test('a schedule is changed field by field', async () => {
    await addTenants('acme');
    const id = await add('acme', 'app', 5);
    const before = await store().schedule(id);
    await store().saveSchedule(id, {});
    assert.deepEqual(await store().schedule(id), before);
    const change = {
      dueAtMs: 9_007_199_254_740_991,
      failuresInRow: 3,
      requested: true,
      announcedSkips: ['log'],
      copied: true,
      lastCompletedAtMs: 0,
    };
    await store().saveSchedule(id, change);
    assert.deepEqual(await store().schedule(id), { ...before, ...change });
    await store().saveSchedule(id, { lastCompletedAtMs: null, announcedSkips: [] });
    assert.deepEqual(await store().schedule(id), { ...before, ...change, lastCompletedAtMs: null, announcedSkips: [] });
  });

  test('tables that several people ask for at once are all copied again', async () => {
    await addTenants('acme');
    const id = await add('acme', 'app', 5);
    const other = await opened().another();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? store() : other).addResync(id, [`t${index}`, 'all'])),
    );
    const { resyncTables } = await store().schedule(id);
    assert.equal(resyncTables.length, 21);
    assert.deepEqual(await store().addResync(id, []), resyncTables);
    await store().resyncBegun(id, resyncTables.slice(0, 20));
    assert.deepEqual((await store().schedule(id)).resyncTables, resyncTables.slice(20));
    assert.deepEqual(await store().addResync(id, ['"odd", name', '"odd", name']), [
      ...resyncTables.slice(20),
      '"odd", name',
    ]);
  });

  test('what a wrong clock left due far ahead is due within its interval again, at its place in it', async () => {
    await addTenants('acme');
    const { everyMs } = newMirror('acme');
    const [tomorrow, soon] = [
      await add('acme', 'a', NOON_MS + 100 * everyMs + 5_000),
      await add('acme', 'b', NOON_MS + everyMs),
    ];
    await store().saveSchedule(tomorrow, { lastCompletedAtMs: NOON_MS + 99 * everyMs });
    await store().prune();
    const { dueAtMs, lastCompletedAtMs } = await store().schedule(tomorrow);
    assert.deepEqual([dueAtMs, lastCompletedAtMs], [NOON_MS + 5_000, NOON_MS]);
    assert.equal((await store().schedule(soon)).dueAtMs, NOON_MS + everyMs);
  });

  test('a mirror that gets a shorter interval does not wait for the end of the longer one', async () => {
    await addTenants('acme');
    const id = await add('acme', 'app', NOON_MS + 100_000);
    await store().saveMirror(id, { everyMs: 600_000 });
    assert.equal((await store().schedule(id)).dueAtMs, NOON_MS + 100_000);
    await store().saveMirror(id, { everyMs: 10_000 });
    assert.equal((await store().schedule(id)).dueAtMs, NOON_MS + 10_000);
  });

  test('whoever asks for tables again and again does not fill the database', async () => {
    await addTenants('acme');
    const id = await add('acme', 'app', 5);
    const names = (from: number) => Array.from({ length: 5_000 }, (_, index) => `t${from + index}`);
    assert.equal((await store().addResync(id, names(0))).length, 5_000);
    await failsWith(store().addResync(id, ['one more']), 'CONFLICT', /5000 tables wait already/);
    await store().resyncBegun(id, names(0));
    assert.deepEqual(await store().addResync(id, ['one more']), ['one more']);
  });

  test('due are the first of each tenant, requested before others, in the order of their times', async () => {
    await addTenants('acme', 'globex', 'initech', 'paused', 'mended');
    const names = new Map<string, string>();
    for (const [tenant, application, dueAtMs] of [
      ['acme', 'late', 10],
      ['acme', 'later', 20],
      ['globex', 'early', 5],
      ['globex', 'asked', 900],
      ['initech', 'not-yet', 500],
      ['paused', 'a', 1],
      ['mended', 'a', 1],
    ] as const) {
      names.set(await add(tenant, application, dueAtMs), `${tenant} ${application}`);
    }
    const asked = [...names].find(([, name]) => name === 'globex asked')?.[0] ?? '';
    await store().saveSchedule(asked, { requested: true });
    await store().saveTenant('paused', { paused: true });
    await store().saveTenant('mended', { maintenance: true });
    const due = async (filter: Partial<Parameters<ReturnType<typeof store>['dueMirrors']>[0]>) =>
      (await store().dueMirrors({ nowMs: 100, requestedOnly: false, copied: false, limit: 10, ...filter })).map(
        ({ mirror }) => names.get(mirror.id),
      );
    assert.deepEqual(await due({}), ['globex asked', 'acme late']);
    assert.deepEqual(await due({ limit: 1 }), ['globex asked']);
    assert.deepEqual(await due({ requestedOnly: true }), ['globex asked']);
    assert.deepEqual(await due({ nowMs: 9 }), ['globex asked']);
    assert.deepEqual(await due({ nowMs: 500 }), ['globex asked', 'acme late', 'initech not-yet']);
    assert.deepEqual(await due({ copied: true }), []);
    await store().saveSchedule(asked, { requested: false });
    assert.deepEqual(await due({}), ['globex early', 'acme late']);
    await store().saveSchedule(asked, { copied: true, dueAtMs: 3 });
    assert.deepEqual(await due({ copied: true }), ['globex asked']);
    assert.deepEqual(await due({}), ['globex early', 'acme late']);
    await store().saveTenant('paused', { paused: false });
    assert.deepEqual(await due({ limit: 2 }), ['paused a', 'globex early']);
  });
});
