import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Hooks, timedResolve } from '../../src/client/hooks.ts';
import { createMirrorClient } from '../../src/client/mirror-client.ts';
import { SpeilError } from '../../src/core/error.ts';
import { HOOK_SLOW_MS } from '../../src/core/limits.ts';
import { openMirror } from '../../src/open.ts';
import type { MirrorClientService, RowBatch } from '../../src/task/contract.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { withDirectory } from '../support/workload.ts';
import { copiedIn, errorsOf, type Mirroring, messagesOf, pairs, tableOf, testPairs } from './mirroring.ts';

const same = pairs.filter(({ source, mirror }) => source === mirror);
const plain = pairs.filter(({ name }) => name === 'sqlite→sqlite');
const asIs = (client: MirrorClientService) => client;

const tables = (m: Mirroring, names: readonly string[]) =>
  m.source.sql(
    names
      .map((name) => `CREATE TABLE ${name} (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO ${name} VALUES (1, 'x')`)
      .join(';'),
  );

/** Remembers the client state of every call. */
function listening(seen: string[]) {
  const hear =
    <Q extends { readonly clientState: string }, A>(name: string, call: (request: Q) => Promise<A>) =>
    (request: Q) => {
      seen.push(`${name} ${request.clientState}`);
      return call(request);
    };
  return (client: MirrorClientService): MirrorClientService => ({
    authenticate: hear('authenticate', client.authenticate),
    tableSchema: hear('tableSchema', client.tableSchema),
    wipe: hear('wipe', client.wipe),
    rowData: hear('rowData', client.rowData),
    replicationCompleted: hear('replicationCompleted', client.replicationCompleted),
  });
}

testPairs(
  'what onAuthenticate answers as client state is seen unchanged in all later calls and hooks',
  async (m) => {
    await tables(m, ['a']);
    const state = 'påse 🎁 {"x": 1}';
    const calls: string[] = [];
    const heard: string[] = [];
    const hear =
      (name: string) =>
      (...args: readonly unknown[]) => {
        const { tenant, clientState } = args.at(-1) as { tenant: string; clientState: string };
        heard.push(`${name} ${tenant} ${clientState}`);
      };
    const hooks: Hooks = {
      onAuthenticate: (context) => {
        hear('onAuthenticate')(context);
        return { clientState: state };
      },
      onBeforeTable: hear('onBeforeTable'),
      onWipe: hear('onWipe'),
      onReplicationCompleted: hear('onReplicationCompleted'),
    };
    await m.decorated(listening(calls), {}, { hooks });
    assert.deepEqual(calls, [
      'authenticate ',
      ...['tableSchema', 'wipe', 'rowData', 'rowData', 'replicationCompleted'].map((call) => `${call} ${state}`),
    ]);
    assert.deepEqual(heard, [
      'onAuthenticate speil ',
      ...['onBeforeTable', 'onWipe', 'onReplicationCompleted'].map((hook) => `${hook} speil ${state}`),
    ]);
  },
  plain,
);

testPairs(
  'doNotReplicate skips the cycle, without a further call, and the next one tries again',
  async (m) => {
    await tables(m, ['a']);
    const calls: string[] = [];
    const events: string[] = [];
    let reason: string | undefined = 'moving house';
    const hooks: Hooks = {
      onAuthenticate: () => ({ doNotReplicate: reason }),
      onEvent: (_, kind, message) => void events.push(`${kind} ${message}`),
    };
    const cycle = await m.decorated(listening(calls), {}, { hooks });
    assert.deepEqual(
      [cycle.report.status, cycle.report.skipped, calls],
      ['completed', 'moving house', ['authenticate ']],
    );
    assert.deepEqual(messagesOf(cycle, 'warning'), ['the mirror asked to skip this cycle: moving house']);
    assert.deepEqual(events, ['warning no replication now: moving house']);
    reason = undefined;
    assert.equal((await m.decorated(asIs, {}, { hooks })).report.skipped, undefined);
    await m.same();
  },
  plain,
);

testPairs(
  'onAuthenticate that throws or answers nonsense refuses the cycle before anything is touched',
  async (m) => {
    await tables(m, ['a']);
    const calls: string[] = [];
    const refusals: readonly (readonly [() => unknown, RegExp])[] = [
      [() => Promise.reject(new Error('no such customer')), /refused the cycle: .*no such customer/],
      [() => ({ clientState: 7 }), /clientState must be a text/],
      [() => ({ clientState: 'x'.repeat(4_001) }), /longer than 4000/],
      [() => ({ doNotReplicate: true }), /doNotReplicate must be a text/],
    ];
    for (const [answer, pattern] of refusals) {
      const hooks = { onAuthenticate: answer } as Hooks;
      await assert.rejects(m.decorated(listening(calls), {}, { hooks }), { code: 'FORBIDDEN', message: pattern });
    }
    assert.deepEqual([...new Set(calls)], ['authenticate ']);
  },
  plain,
);

testPairs(
  'onEvent hears what is notable; what it throws matters to nobody',
  async (m) => {
    await tables(m, ['a', 'b']);
    const heard: string[] = [];
    const told: string[] = [];
    const thrower: Hooks = {
      onEvent: (_, kind, message) => {
        heard.push(`${kind} ${message}`);
        throw new Error('mine');
      },
    };
    const onEvent = (_: unknown, kind: string, message: string) => void told.push(`${kind} ${message}`);
    await m.decorated(asIs, {}, { hooks: thrower, onEvent });
    assert.deepEqual(heard, [
      'information a cycle begins',
      'information a was created',
      'information b was created',
      'information a is copied from nothing',
      'information b is copied from nothing',
      'information a cycle completed: tables with changes 2, inserted 2, updated 0, deleted 0',
    ]);
    assert.deepEqual(told, heard);
    await m.source.sql('DROP TABLE b');
    const rejecter: Hooks = { onEvent: () => Promise.reject(new Error('mine')) };
    await m.decorated(asIs, {}, { hooks: rejecter, onEvent });
    assert.ok(told.includes('warning b was dropped'));
    await m.same();
  },
  plain,
);

test('a slow hook is reported with how long it took, also in authenticate', async () => {
  using directory = withDirectory();
  await using mirror = await openMirror(`sqlite:${directory.file('m.db')}`, { tenant: 'acme' });
  const clock = new ManualClock();
  const slow = () => clock.advance(HOOK_SLOW_MS + 1);
  const hooks: Hooks = { onAuthenticate: slow, onReplicationCompleted: slow };
  const client = createMirrorClient({ mirror, tenant: 'acme', clock, build: 'test', hooks });
  const { notes } = await client.authenticate({ tenant: 'acme', clientState: '' });
  assert.deepEqual(notes, ['hook onAuthenticate took 5001 ms; the task was waiting']);
  await client.tableSchema({ clientState: '', tables: [], leaveAlone: [] });
  const completed = await client.replicationCompleted({ clientState: '', changedTables: [] });
  assert.deepEqual(completed.notes, ['hook onReplicationCompleted took 5001 ms; the task was waiting']);
});

test('a slow resolveMirror is told with how long it took', async () => {
  const clock = new ManualClock();
  const told: string[] = [];
  const slow = () => {
    clock.advance(HOOK_SLOW_MS + 1);
    return 'sqlite:a.db';
  };
  const resolve = timedResolve(slow, clock, ({ tenant }, kind, message) => told.push(`${tenant} ${kind} ${message}`));
  assert.equal(await resolve?.({ tenant: 'acme', clientState: '' }), 'sqlite:a.db');
  assert.deepEqual(told, ['acme warning hook resolveMirror took 5001 ms; the task was waiting']);
});

testPairs('tables that somebody asked for are copied again, those alone', async (m) => {
  await tables(m, ['a', 'b']);
  await m.follow();
  await m.mirror.sql(`UPDATE a SET v = 'wrong'; UPDATE b SET v = 'left alone'`);
  const cycle = await m.decorated(asIs, {}, { resyncTables: ['A', 'nothing'] });
  assert.deepEqual(copiedIn(cycle), ['a']);
  assert.equal(tableOf(cycle, 'a').repopulated, 'somebody asked for it');
  assert.equal(tableOf(cycle, 'b').repopulated, undefined);
  assert.deepEqual(messagesOf(cycle, 'warning'), [
    'no table that is mirrored is named nothing; it is not copied again',
  ]);
  assert.equal(await m.mirror.value('SELECT v FROM a'), 'x');
  assert.equal(await m.mirror.value('SELECT v FROM b'), 'left alone');
});

testPairs(
  'a copy that was asked for is begun again from nothing, once: a cycle that is tried again goes on with it',
  async (m) => {
    await m.source.sql(`CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO a WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, 'x' FROM n`);
    const wipes: string[] = [];
    const failing = (recovery: 'retry' | 'operator') => (client: MirrorClientService) => {
      let calls = 0;
      return {
        ...client,
        wipe: (request: Parameters<typeof client.wipe>[0]) => {
          wipes.push(request.schema.table.name);
          return client.wipe(request);
        },
        rowData: (request: Parameters<typeof client.rowData>[0]) => {
          if (++calls !== 2) return client.rowData(request);
          throw new SpeilError('CONNECTION_LOST', 'cut', { recovery });
        },
      };
    };
    const batchBytes = 1_000;
    await assert.rejects(m.decorated(failing('operator'), { batchBytes }), { message: 'cut' });
    wipes.length = 0;
    const cycle = await m.decorated(failing('retry'), { batchBytes }, { resyncTables: ['a'] });
    assert.deepEqual(wipes, ['a']);
    const starts = cycle.events.flatMap((event) => (event.event === 'copy-started' ? [event.resumedAtRows > 0] : []));
    assert.deepEqual(starts, [false, true]);
    await m.same();
  },
  plain,
);

testPairs(
  'a table that is skipped for the first time is announced, and dropped by the next cycle',
  async (m) => {
    await tables(m, ['a', 'b']);
    await m.follow();
    await m.source.sql(`INSERT INTO b VALUES (2, 'y')`);
    const announced = await m.decorated(asIs, { skipTables: ['b'], announceOnly: ['b'] });
    assert.deepEqual(messagesOf(announced, 'warning'), [
      'b is skipped; its mirror copy will be dropped at the next cycle',
    ]);
    assert.equal(Number(await m.mirror.value('SELECT count(*) FROM b')), 1, 'neither sent nor dropped');
    assert.deepEqual(
      announced.report.tables.map(({ table }) => table),
      ['a'],
    );
    const dropped = await m.decorated(asIs, { skipTables: ['b'], announceOnly: [] });
    assert.deepEqual(messagesOf(dropped, 'warning'), ['b is skipped; a mirror copy that it has is dropped']);
    await assert.rejects(m.mirror.sql('SELECT 1 FROM b'));
  },
  same,
);

testPairs(
  'calls stay below what the client takes, and a row that does not fit fails its table alone',
  async (m) => {
    await tables(m, ['a', 'b', 'c']);
    await m.source.sql(`INSERT INTO a WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
      SELECT i, '${'y'.repeat(500)}' FROM n`);
    await m.source.sql(`INSERT INTO b VALUES (2, '${'z'.repeat(40_000)}')`);
    const calls: number[] = [];
    const bounded = (client: MirrorClientService): MirrorClientService => ({
      ...client,
      authenticate: async (request) => ({ ...(await client.authenticate(request)), callBytesMax: 20_000 }),
      rowData: (request) => {
        calls.push(request.batches.reduce((sum: number, batch: RowBatch) => sum + batch.rows.length, 0));
        return client.rowData(request);
      },
    });
    const first = await m.decorated(bounded);
    assert.ok(Math.max(...calls) <= 18_000, String(Math.max(...calls)));
    assert.deepEqual([first.report.status, errorsOf(first).length], ['failed', 1]);
    assert.equal(tableOf(first, 'b').error?.code, 'CALL_TOO_LARGE');
    assert.match(tableOf(first, 'b').error?.hint ?? '', /--call-bytes-max/);
    assert.equal(
      first.report.bytes,
      calls.reduce((sum, bytes) => sum + bytes, 0),
    );
    await m.source.sql(`DELETE FROM b WHERE id = 2; UPDATE a SET v = '${'w'.repeat(600)}'`);
    assert.deepEqual(errorsOf(await m.decorated(bounded)), []);
    await m.source.sql(`UPDATE b SET v = '${'z'.repeat(40_000)}'; UPDATE c SET v = 'changed'`);
    const later = await m.decorated(bounded);
    assert.equal(tableOf(later, 'b').error?.code, 'CALL_TOO_LARGE');
    assert.equal(await m.mirror.value('SELECT v FROM c'), 'changed');
    await m.decorated(asIs);
    await m.same();
  },
  same,
);
