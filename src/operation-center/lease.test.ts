import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeilError } from '../core/error.ts';
import type { MirrorClientService } from '../task/contract.ts';
import { CALL_GRACE_MS, guarded, Lease } from './lease.ts';

/** A clock that stands where it is put, and on which sleepers wake when it is moved. */
function movableClock() {
  const sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  let nowMs = 0;
  return {
    monotonicMs: () => nowMs,
    sleep: (ms: number) => new Promise<void>((wake) => void sleepers.push({ atMs: nowMs + ms, wake })),
    moveTo: async (ms: number) => {
      nowMs = ms;
      for (const { atMs, wake } of sleepers) if (atMs <= ms) wake();
      await Promise.resolve();
    },
  };
}

const claim = {
  mirrorId: 'm1',
  tenant: 'acme',
  firstCopy: false,
  earlierClaims: 0,
  attempt: { id: 'j1', retryCount: 0 },
};

function leased() {
  const clock = movableClock();
  return { clock, lease: new Lease(claim, { clock, leaseMs: 30_000, claimedAtMs: 0 }) };
}

const isInterrupted = (error: unknown): boolean => error instanceof SpeilError && error.code === 'INTERRUPTED';

test('a lease that is not renewed is over before the database gives it to another, and its call is cut at once', async () => {
  const { clock, lease } = leased();
  await clock.moveTo(26_999);
  lease.assertHeld();
  await clock.moveTo(27_000);
  assert.throws(() => lease.assertHeld(), isInterrupted);
  assert.deepEqual([lease.reason, lease.signal.aborted, lease.callSignal.aborted], ['lost', true, true]);
});

test('it holds from when the renewal was sent, not from when it was answered', async () => {
  const { clock, lease } = leased();
  await clock.moveTo(20_000);
  lease.renewed(10_000);
  await clock.moveTo(36_999);
  lease.assertHeld();
  await clock.moveTo(37_000);
  assert.throws(() => lease.assertHeld(), isInterrupted);
});

test('a cycle that has to end may have its call under way answered, but not for ever', async () => {
  const { clock, lease } = leased();
  lease.end('maintenance');
  lease.end('stopping');
  assert.deepEqual([lease.reason, lease.signal.aborted, lease.callSignal.aborted], ['maintenance', true, false]);
  await clock.moveTo(CALL_GRACE_MS);
  await Promise.resolve();
  assert.equal(lease.callSignal.aborted, true);
});

function countingClient() {
  const calls: string[] = [];
  const note = (name: string, answer: unknown) => async () => {
    calls.push(name);
    return answer as never;
  };
  const client: MirrorClientService = {
    authenticate: note('authenticate', {}),
    tableSchema: note('tableSchema', {}),
    wipe: note('wipe', { notes: [] }),
    prepareRowData: note('prepareRowData', undefined),
    rowData: note('rowData', {}),
    replicationCompleted: note('replicationCompleted', { notes: [] }),
  };
  return { calls, client };
}

const wipe = {} as Parameters<MirrorClientService['wipe']>[0];

test('no call goes out once the lease is over, whatever the task tries', async () => {
  const { clock, lease } = leased();
  const { calls, client } = countingClient();
  const hooks = { beforeWipe: async () => undefined, afterWipe: async () => undefined };
  const held = guarded(client, lease, hooks);
  await held.authenticate({ tenant: 'acme', clientState: '' });
  await held.prepareRowData?.({ clientState: '', batches: [] });
  await clock.moveTo(60_000);
  await assert.rejects(held.rowData({ clientState: '', batches: [] }), isInterrupted);
  await assert.rejects(held.wipe(wipe), isInterrupted);
  await assert.rejects(held.replicationCompleted({ clientState: '', changedTables: [] }), isInterrupted);
  await assert.rejects(held.tableSchema({ clientState: '', tables: [], leaveAlone: [] }), isInterrupted);
  assert.deepEqual(calls, ['authenticate', 'prepareRowData']);
});

test('a wipe that meets maintenance is not sent', async () => {
  const { lease } = leased();
  const { calls, client } = countingClient();
  const wiped: unknown[] = [];
  const held = guarded(client, lease, {
    beforeWipe: async () => lease.end('maintenance'),
    afterWipe: async (request) => void wiped.push(request),
  });
  await assert.rejects(held.wipe(wipe), isInterrupted);
  assert.deepEqual([calls, wiped], [[], []]);
});
