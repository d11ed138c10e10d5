import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overBothDatabases } from '../../test/support/center-database.ts';
import { SpeilError } from '../core/error.ts';
import type { CycleReport } from '../task/report.ts';
import { RUNS_KEPT_PER_MIRROR } from './store-runs.ts';

const failsWith = (work: Promise<unknown>, code: string, pattern: RegExp) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code);
    assert.match(`${error.message}\n${error.hint}`, pattern);
    return true;
  });

const DAY_MS = 24 * 60 * 60 * 1000;

const REPORT: CycleReport = {
  event: 'cycle',
  status: 'completed',
  tables: [
    { table: 'pers"on\0', schemaChange: 'none', inserted: 1, updated: 2, deleted: 3, lsn: '18446744073709551615' },
  ],
  bytes: 5,
  startedAt: '2026-03-01T12:00:00.000Z',
  finishedAt: '2026-03-01T12:00:01.000Z',
};

overBothDatabases((opened) => {
  const store = () => opened().store;
  const addMirrors = async (tenant: string, ...applications: readonly string[]) => {
    await store().addTenant({ name: tenant, source: 'sqlite:crm.db' });
    const transport = { kind: 'dialled' } as const;
    for (const application of applications) {
      await store().addMirror({ tenant, application, publicKey: 'PEM', transport, everyMs: 1 }, 0);
    }
  };
  const begin = (tenant: string, application = 'app', center = 'one') =>
    store().beginRun({ tenant, application, trigger: 'schedule', center });
  const end = (id: string, status: 'completed' | 'failed' = 'completed') =>
    store().endRun(id, { status, report: null, error: null, bytes: 0 });

  test('a run is kept with its report', async () => {
    await addMirrors('acme', 'app');
    const begun = await begin('acme');
    assert.deepEqual(begun, {
      id: begun.id,
      tenant: 'acme',
      application: 'app',
      status: 'running',
      trigger: 'schedule',
      center: 'one',
      startedAt: '2026-03-01T12:00:00.000Z',
      finishedAt: null,
      bytes: 0,
      report: null,
      error: null,
    });
    opened().clock.nowMs += 1_500;
    const error = { code: 'UNREACHABLE', message: 'half \uD800', hint: null, recovery: 'retry' } as const;
    const ended = await store().endRun(begun.id, { status: 'failed', report: REPORT, error, bytes: 3_000_000_000 });
    assert.deepEqual(ended, {
      ...begun,
      status: 'failed',
      finishedAt: '2026-03-01T12:00:01.500Z',
      bytes: 3_000_000_000,
      report: { ...REPORT, tables: REPORT.tables.map((table) => ({ ...table, table: 'pers"on\uFFFD' })) },
      error: { ...error, message: 'half \uFFFD' },
    });
    assert.deepEqual(await store().run(begun.id), ended);
    const { report: _, ...last } = ended;
    assert.deepEqual(await store().lastRuns(), [last]);
  });

  test('a run ends once, by who ran it', async () => {
    await addMirrors('acme', 'app');
    const { id } = await begin('acme');
    await end(id);
    await failsWith(end(id, 'failed'), 'CONFLICT', /ended already/);
    assert.equal((await store().run(id)).status, 'completed');
    await failsWith(end('nothing'), 'NOT_FOUND', /no run nothing/);
    await failsWith(store().run('nothing'), 'NOT_FOUND', /speil center runs/);
    await failsWith(begin('acme', 'other'), 'NOT_FOUND', /acme for other/);
    await failsWith(begin('globex'), 'NOT_FOUND', /globex for app/);
  });

  test('runs are listed newest first, of all, of a tenant and of a mirror', async () => {
    await addMirrors('acme', 'a', 'b');
    await addMirrors('globex', 'a');
    const order = [
      ['acme', 'a'],
      ['globex', 'a'],
      ['acme', 'b'],
      ['acme', 'a'],
    ] as const;
    const ids: string[] = [];
    for (const [tenant, application] of order) ids.push((await begin(tenant, application)).id);
    const [first, second, third, fourth] = ids;
    const listed = async (filter: { tenant?: string; application?: string; limit?: number }) =>
      (await store().runs({ limit: 10, ...filter })).map(({ id }) => id);
    assert.deepEqual(await listed({}), [fourth, third, second, first]);
    assert.deepEqual(await listed({ limit: 2 }), [fourth, third]);
    assert.deepEqual(await listed({ tenant: 'acme' }), [fourth, third, first]);
    assert.deepEqual(await listed({ tenant: 'acme', application: 'a' }), [fourth, first]);
    assert.deepEqual(await listed({ application: 'a' }), [fourth, second, first]);
    const last = async (tenant?: string) => (await store().lastRuns(tenant)).map(({ id }) => id);
    assert.deepEqual(await last(), [fourth, third, second]);
    assert.deepEqual(await last('globex'), [second]);
  });

  test('runs of a center that is gone are interrupted', async () => {
    await addMirrors('acme', 'a', 'b');
    await addMirrors('globex', 'a');
    const ended = await begin('acme', 'a');
    await end(ended.id);
    const ran = [await begin('acme', 'a'), await begin('acme', 'b', 'two'), await begin('globex', 'a')];
    const interrupted = await store().interruptRuns({ tenant: 'acme', application: 'b' });
    assert.deepEqual(
      interrupted.map(({ id, status, finishedAt, error }) => ({ id, status, finishedAt, error })),
      [
        {
          id: ran[1]?.id,
          status: 'interrupted',
          finishedAt: '2026-03-01T12:00:00.000Z',
          error: {
            code: 'INTERRUPTED',
            message: 'center two ended during the cycle',
            hint: 'The next cycle goes on where it stopped.',
            recovery: 'retry',
          },
        },
      ],
    );
    assert.deepEqual((await store().interruptRuns({})).length, 2);
    assert.deepEqual(await store().interruptRuns({}), []);
    assert.equal((await store().run(ended.id)).status, 'completed');
    assert.equal((await end(ran[1]?.id ?? '')).status, 'completed');
  });

  test('a mirror keeps so many runs and no more', async () => {
    await addMirrors('acme', 'a', 'b');
    await begin('acme', 'b');
    const first = await begin('acme', 'a');
    await opened().database.query(
      `INSERT INTO speil_center.run (id, tenant, application, number, status, trigger, center, started_at)
       SELECT 'run ' || n, 'acme', 'a', n, 'completed', 'schedule', 'one', now() FROM generate_series(2, $1::int) AS n`,
      [RUNS_KEPT_PER_MIRROR],
    );
    await opened().database.query("UPDATE speil_center.mirror SET runs = $1 WHERE application = 'a'", [
      RUNS_KEPT_PER_MIRROR,
    ]);
    assert.equal((await store().run(first.id)).id, first.id);
    await begin('acme', 'a');
    await failsWith(store().run(first.id), 'NOT_FOUND', /no run/);
    assert.equal((await store().runs({ tenant: 'acme', limit: 2_000 })).length, RUNS_KEPT_PER_MIRROR + 1);
  });

  test('runs and events are kept for 90 days, and the last run of a mirror for longer', async () => {
    await addMirrors('acme', 'a');
    const runs = [await begin('acme', 'a'), await begin('acme', 'a')];
    await store().addEvent({ kind: 'information', tenant: 'acme', message: 'old' });
    opened().clock.nowMs += 90 * DAY_MS;
    await store().addEvent({ kind: 'information', tenant: 'acme', message: 'new' });
    await store().prune();
    assert.equal((await store().runs({ limit: 10 })).length, 2);
    opened().clock.nowMs += 1;
    await store().prune();
    assert.deepEqual(
      (await store().runs({ limit: 10 })).map(({ id }) => id),
      [runs[1]?.id],
    );
    assert.deepEqual(
      (await store().events({ limit: 10 })).map(({ message }) => message),
      ['new'],
    );
  });

  test('many old events go with one prune, and the newest stay', async () => {
    await opened().database.exec(
      `INSERT INTO speil_center.event (id, at, kind, message)
       SELECT n - 5000, '2020-01-01', 'information', 'x' FROM generate_series(1, 4500) AS n`,
    );
    await store().addEvent({ kind: 'information', tenant: null, message: 'new' });
    await store().prune();
    assert.equal((await store().events({ limit: 10_000 })).length, 1);
  });

  test('events are told oldest first, after one or the newest', async () => {
    await addMirrors('acme', 'app');
    const added = [
      await store().addEvent({ kind: 'information', tenant: null, message: 'one' }),
      await store().addEvent({
        kind: 'error',
        tenant: 'acme',
        application: 'app',
        runId: 'r',
        message: 'two\0',
        hint: 'h\0',
      }),
      await store().addEvent({ kind: 'warning', tenant: 'acme', message: 'three' }),
    ];
    const [one, two, three] = added;
    assert.deepEqual(two, {
      id: (one?.id ?? 0) + 1,
      at: '2026-03-01T12:00:00.000Z',
      kind: 'error',
      tenant: 'acme',
      application: 'app',
      runId: 'r',
      message: 'two\uFFFD',
      hint: 'h\uFFFD',
    });
    assert.deepEqual(await store().events({ limit: 10 }), added);
    assert.deepEqual(await store().events({ limit: 2 }), [two, three]);
    assert.deepEqual(await store().events({ limit: 10, tenant: 'acme' }), [two, three]);
    assert.deepEqual(await store().events({ limit: 1, afterId: one?.id ?? 0 }), [two]);
    assert.deepEqual(await store().events({ limit: 9, afterId: two?.id ?? 0, tenant: 'acme' }), [three]);
    assert.deepEqual(await store().events({ limit: 9, afterId: three?.id ?? 0 }), []);
  });

  test('who follows the events misses none, however many centers add some', async () => {
    const other = await opened().another();
    const seen: number[] = [];
    let adding = true;
    const follow = async () => {
      for (let more = true; more; ) {
        more = adding;
        const found = await store().events({ afterId: seen.at(-1) ?? 0, limit: 1_000 });
        seen.push(...found.map(({ id }) => id));
      }
    };
    const add = async (index: number) => {
      const by = index % 2 === 0 ? store() : other;
      await by.addEvent({ kind: 'information', tenant: null, message: String(index) });
    };
    const following = follow();
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 20 }, (_, index) => add(index)));
    }
    adding = false;
    await following;
    assert.equal(seen.length, 200);
    assert.deepEqual(
      seen,
      (await store().events({ limit: 1_000 })).map(({ id }) => id),
    );
  });

  test('a token is found by its secret until it is revoked, and stays listed', async () => {
    await addMirrors('acme', 'app');
    const operator = await store().createToken({ role: 'operator', tenant: null });
    opened().clock.nowMs += 1;
    const tenants = await store().createToken({ role: 'tenant', tenant: 'acme' });
    assert.match(operator.secret, /^speil_operator_[\w-]{43}$/);
    assert.match((await store().createToken({ role: 'read-only', tenant: null })).secret, /^speil_read-only_/);
    assert.deepEqual(await store().findToken(operator.secret), operator.token);
    assert.deepEqual(await store().findToken(tenants.secret), {
      id: tenants.token.id,
      role: 'tenant',
      tenant: 'acme',
      createdAt: '2026-03-01T12:00:00.001Z',
      revokedAt: null,
    });
    for (const secret of ['', operator.secret.slice(0, -1), `${operator.secret} `, operator.token.id]) {
      assert.equal(await store().findToken(secret), null);
    }
    await store().revokeToken(operator.token.id);
    assert.equal(await store().findToken(operator.secret), null);
    const revokedAt = '2026-03-01T12:00:00.001Z';
    opened().clock.nowMs += 1;
    await store().revokeToken(operator.token.id);
    assert.deepEqual((await store().tokens())[0], { ...operator.token, revokedAt });
    await failsWith(store().revokeToken('nothing'), 'NOT_FOUND', /no token nothing/);
  });
});
