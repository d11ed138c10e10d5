import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openTestStore } from '../../test/support/center-database.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { startReceiver } from '../../test/support/webhook-receiver.ts';
import { systemRandom as random } from '../runtime/system-random.ts';
import { type CenterAlerts, createAlerts } from './alerts.ts';
import type { MirrorSchedule, Run } from './model.ts';
import { openSecrets } from './secrets.ts';
import type { Store } from './store.ts';
import { createStore } from './store-create.ts';

const MINUTE_MS = 60_000;
const EVERY_MS = 20 * MINUTE_MS;

/** A center's store and alerts in a day that begins at noon, with a mirror of acme and somebody who is told. */
async function openCenter() {
  await using opened = new AsyncDisposableStack();
  const { database, folder } = opened.use(await openTestStore('postgres'));
  const clock = new ManualClock(Date.UTC(2026, 2, 1, 12));
  const store = createStore(database, { clock, random, secrets: openSecrets({ dataFolder: folder }) });
  const receiver = opened.use(await startReceiver());
  await store.saveSettings({ webhook: receiver.url });
  await store.addTenant({ name: 'acme', source: 'sqlite:crm.db' });
  const mirror = await store.addMirror(
    { tenant: 'acme', application: 'app', publicKey: 'PEM', transport: { kind: 'dialled' }, everyMs: EVERY_MS },
    clock.now(),
  );
  const logged: string[] = [];
  const log = {
    info: () => undefined,
    warn: () => undefined,
    error: (_: object, text: string) => void logged.push(text),
  };
  const ends = opened.move();
  const told = () => receiver.posts.map(({ body }) => JSON.parse(body) as Told);
  return {
    store,
    clock,
    mirror,
    receiver,
    logged,
    told,
    alerts: (of: Store = store) => ends.use(createAlerts({ store: of, clock, random, log })),
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}

type Center = Awaited<ReturnType<typeof openCenter>>;

type Told = { readonly type: string; readonly timestamp: string; readonly data: Readonly<Record<string, unknown>> };

const until = (t: TestContext, check: () => void) => t.waitFor(check, { interval: 5, timeout: 8_000 });

/** No look is under way, and no message: before the clock moves on by hours, which are too long for an answer. */
const resting = (t: TestContext, { clock }: Center, centers: number) =>
  until(t, () => assert.equal(clock.sleepers, centers));

/** One cycle as the runner has it: run, schedule, alerts. */
async function cycle({ store, clock, mirror }: Center, alerts: CenterAlerts, status: Run['status']): Promise<Run> {
  const before = await store.schedule(mirror.id);
  const begun = await store.beginRun({ tenant: 'acme', application: 'app', trigger: 'schedule', center: 'one' });
  const error = { code: 'UNREACHABLE', message: 'no answer', hint: 'wait', recovery: 'retry' } as const;
  const failed = status === 'failed';
  const run = await store.endRun(begun.id, {
    status: failed ? 'failed' : 'completed',
    report: null,
    error: failed ? error : null,
    bytes: 0,
  });
  const failuresInRow = failed ? before.failuresInRow + 1 : 0;
  const after: Partial<MirrorSchedule> = failed ? { failuresInRow } : { failuresInRow, lastCompletedAtMs: clock.now() };
  await store.saveSchedule(mirror.id, after);
  await alerts.cycleEnded({ run, mirror, before, failuresInRow });
  return run;
}

const types = (center: Center) => center.told().map(({ type }) => type);
const messages = async (store: Store) =>
  (await store.events({ limit: 100 })).map(({ kind, message }) => `${kind}: ${message}`);

test('a failure is told once, with why, and so is that it is over', async (t) => {
  await using center = await openCenter();
  const alerts = center.alerts();
  await cycle(center, alerts, 'completed');
  const run = await cycle(center, alerts, 'failed');
  await cycle(center, alerts, 'failed');
  await cycle(center, alerts, 'completed');
  await cycle(center, alerts, 'completed');
  await until(t, () => assert.deepEqual(types(center), ['mirror.failed', 'mirror.recovered']));
  assert.deepEqual(center.told()[0], {
    type: 'mirror.failed',
    timestamp: '2026-03-01T12:00:00.000Z',
    data: {
      tenant: 'acme',
      application: 'app',
      message: 'the mirror of acme for app fails',
      failuresInRow: 1,
      lastCompletedAt: '2026-03-01T12:00:00.000Z',
      runId: run.id,
      error: { code: 'UNREACHABLE', message: 'no answer', hint: 'wait', recovery: 'retry' },
    },
  });
});

test('of several centers one tells it', async (t) => {
  await using center = await openCenter();
  const several = [center.alerts(), center.alerts()] as const;
  const before = await center.store.schedule(center.mirror.id);
  const run = await cycle(center, several[0], 'failed');
  await several[1].cycleEnded({ run, mirror: center.mirror, before, failuresInRow: 1 });
  await until(t, () => assert.deepEqual(types(center), ['mirror.failed']));
  await resting(t, center, several.length);
  center.clock.advance(3 * EVERY_MS);
  await Promise.all(several.map((alerts) => alerts.look()));
  await until(t, () => assert.deepEqual(types(center), ['mirror.failed', 'mirror.behind']));
});

test('a mirror that falls behind is told of, and that it caught up', async (t) => {
  await using center = await openCenter();
  const { clock, store } = center;
  const alerts = center.alerts();
  await cycle(center, alerts, 'completed');
  clock.advance(2 * EVERY_MS);
  await alerts.look();
  clock.advance(1);
  await alerts.look();
  await alerts.look();
  await until(t, () => assert.deepEqual(types(center), ['mirror.behind']));
  await cycle(center, alerts, 'completed');
  await alerts.look();
  await alerts.look();
  await until(t, () => assert.deepEqual(types(center), ['mirror.behind', 'mirror.caught-up']));
  assert.deepEqual(await messages(store), [
    'warning: the mirror of acme for app is behind its schedule: its last cycle completed at 2026-03-01T12:00:00.000Z',
    'information: the mirror of acme for app has caught up',
  ]);
});

test('time in which no cycle may start does not put a mirror behind', async (t) => {
  await using center = await openCenter();
  const { clock, store } = center;
  {
    await using early = center.alerts();
    await cycle(center, early, 'completed');
  }
  clock.advance(24 * 60 * MINUTE_MS);
  const alerts = center.alerts();
  const pass = async (intervals: number) => {
    for (let minute = 0; minute < intervals * 20; minute++) {
      clock.advance(MINUTE_MS);
      await alerts.look();
    }
  };
  await pass(2);
  await store.saveSettings({ quietHours: { fromMinute: 0, toMinute: 24 * 60 - 1, timezone: 'UTC' } });
  await pass(4);
  await store.saveSettings({ quietHours: null });
  await pass(1.9);
  await store.saveTenant('acme', { paused: true });
  await pass(4);
  await store.saveTenant('acme', { paused: false });
  await pass(1.9);
  await store.saveSettings({ maintenance: true });
  await pass(4);
  await store.saveSettings({ maintenance: false });
  await pass(2);
  assert.deepEqual(await messages(store), []);
  await pass(0.05);
  await until(t, () => assert.deepEqual(types(center), ['mirror.behind']));
});

for (const held of ['paused', 'maintenance'] as const) {
  test(`a look that ends after a later one does not take back time in which no cycle could start: ${held}`, async (t) => {
    await using center = await openCenter();
    const { clock, store } = center;
    const hold = (on: boolean) =>
      held === 'paused' ? store.saveTenant('acme', { paused: on }) : store.saveSettings({ maintenance: on });
    await hold(true);
    clock.advance(3 * EVERY_MS);
    const slow = Promise.withResolvers<void>();
    const waits = [slow.promise];
    const settings = async () => {
      await waits.shift();
      return store.settings();
    };
    const alerts = center.alerts({ ...store, settings });
    const overtaken = alerts.look();
    clock.advance(1.5 * EVERY_MS);
    await alerts.look();
    await resting(t, center, 1);
    slow.resolve();
    await overtaken;
    await hold(false);
    clock.advance(EVERY_MS);
    await alerts.look();
    assert.deepEqual(await messages(store), []);
  });
}

test('a look comes by itself every minute', async (t) => {
  await using center = await openCenter();
  center.alerts();
  center.clock.advance(3 * EVERY_MS);
  await until(t, () => assert.deepEqual(types(center), ['mirror.behind']));
});

test('without a webhook the events are there all the same, and a store that fails does not stop a cycle', async (t) => {
  await using center = await openCenter();
  const { store, clock, logged, mirror } = center;
  await store.saveSettings({ webhook: null });
  const alerts = center.alerts();
  const run = await cycle(center, alerts, 'failed');
  clock.advance(3 * EVERY_MS);
  await alerts.look();
  await t.waitFor(async () => assert.equal((await messages(store)).length, 1));
  assert.deepEqual(types(center), []);
  const away = createAlerts({
    store: { ...store, alertState: () => Promise.reject(new Error('the database is away')) },
    clock,
    random,
    log: { info: () => undefined, warn: () => undefined, error: (_, text) => void logged.push(text) },
  });
  await away.cycleEnded({ run, mirror, before: await store.schedule(mirror.id), failuresInRow: 1 });
  assert.deepEqual(logged, ['alerts could not be decided: the database is away']);
  await away[Symbol.asyncDispose]();
});
