import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sharedPostgres } from '../../test/support/shared-postgres.ts';
import { eventually } from '../../test/support/workload.ts';
import { type CenterDatabase, openCenterDatabase } from './database.ts';
import { type Claim, type CycleQueue, createCycleQueue } from './queue.ts';
import { PRIORITY, type Running } from './schedule.ts';

const folder = mkdtempSync(join(tmpdir(), 'speil-queue-'));
after(() => rmSync(folder, { recursive: true }));

const clock = { now: () => Date.now() };
const lite = await openCenterDatabase({ dataFolder: folder }, clock);
after(() => lite[Symbol.asyncDispose]());

/** A queue, and as many more on the same database as there are other centers. */
type Opened = AsyncDisposable & { readonly queues: readonly CycleQueue[] };

async function open(kind: CenterDatabase['kind'], centers = 1): Promise<Opened> {
  await using opened = new AsyncDisposableStack();
  const address = kind === 'postgres' ? await (await sharedPostgres()).createDatabase() : '';
  const queues: CycleQueue[] = [];
  for (let center = 0; center < centers; center++) {
    const database = kind === 'pglite' ? lite : opened.use(await openCenterDatabase({ address }, clock));
    const queue = createCycleQueue({ database, onError: (error) => assert.fail(`${error}`), leaseMs: 1_000 });
    await queue.start();
    opened.defer(() => queue.stop());
    queues.push(queue);
  }
  const kept = opened.move();
  return { queues, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const cycle = (mirrorId: string, tenant: string, priority: number = PRIORITY.catchUp) => ({
  mirrorId,
  tenant,
  priority,
});

const places =
  (catchUps: number, firstCopies = catchUps) =>
  (taken: Running): Running => ({ catchUps: catchUps - taken.catchUps, firstCopies: firstCopies - taken.firstCopies });

const names = (claims: readonly Claim[]): readonly string[] => claims.map(({ mirrorId }) => mirrorId).toSorted();

function first<T>(values: readonly T[]): T {
  const [value] = values;
  assert.ok(value !== undefined);
  return value;
}

for (const kind of ['pglite', 'postgres'] as const) {
  test(`${kind}: a mirror is there once, and of a tenant one is claimed at a time`, async () => {
    await using opened = await open(kind);
    const queue = first(opened.queues);
    await queue.offer([cycle('a1', 'a'), cycle('a2', 'a'), cycle('b1', 'b')]);
    await queue.offer([cycle('a1', 'a'), cycle('b1', 'b')]);
    const claims = await queue.claim(places(10));
    assert.equal(claims.length, 2);
    await queue.offer([cycle('b1', 'b')]);
    assert.deepEqual(await queue.claim(places(10)), []);
    for (const claim of claims) assert.equal(await queue.release(claim), true);
    const rest = await queue.claim(places(10));
    assert.equal(rest.length, 1);
    assert.deepEqual(names([...claims, ...rest]), ['a1', 'a2', 'b1']);
    assert.equal(await queue.release(first(rest)), true);
    assert.equal(await queue.release(first(rest)), false, 'it was released already');
  });

  test(`${kind}: what is urgent comes first, and first copies within their places`, async () => {
    await using opened = await open(kind);
    const queue = first(opened.queues);
    await queue.offer([
      cycle('copy', 'c', PRIORITY.firstCopy),
      cycle('asked-copy', 'd', PRIORITY.requestedFirstCopy),
      cycle('due', 'e', PRIORITY.catchUp),
      cycle('asked', 'f', PRIORITY.requestedCatchUp),
    ]);
    assert.deepEqual(names(await queue.claim(places(1, 0))), ['asked']);
    assert.deepEqual(names(await queue.claim(places(0, 1))), ['asked-copy']);
    const rest = await queue.claim(places(5, 5));
    assert.deepEqual(
      rest.map(({ mirrorId, firstCopy }) => [mirrorId, firstCopy]),
      [
        ['due', false],
        ['copy', true],
      ],
    );
  });

  test(`${kind}: a claim that is not renewed passes to another, and the first one finds out`, async () => {
    await using opened = await open(kind, kind === 'postgres' ? 2 : 1);
    const [one, other = one] = opened.queues;
    assert.ok(one && other);
    await one.offer([cycle('a1', 'a'), cycle('b1', 'b')]);
    const [left, renewed] = await one.claim(places(2));
    assert.ok(left && renewed);
    const taken = await eventually(async () => {
      assert.equal(await one.renew(renewed), true);
      await other.freeLapsed();
      return first(await other.claim(places(2)));
    });
    assert.deepEqual([taken.mirrorId, taken.earlierClaims], [left.mirrorId, 1]);
    assert.equal(await one.renew(left), false);
    assert.equal(await one.release(left), false, 'it is not the first one’s any more');
    assert.equal(await other.renew(taken), true);
    assert.equal(await one.release(renewed), true);
  });

  test(`${kind}: what is handed back is there again after a second`, async () => {
    await using opened = await open(kind);
    const queue = first(opened.queues);
    await queue.offer([cycle('a1', 'a')]);
    await queue.handBack(first(await queue.claim(places(1))));
    const again = await eventually(async () => first(await queue.claim(places(1))));
    assert.deepEqual([again.mirrorId, again.earlierClaims], ['a1', 1]);
  });
}

test('centers that claim at once never claim two of a tenant', async () => {
  await using opened = await open('postgres', 3);
  // Those of a tenant lie side by side: whoever skips what another has locked finds the next of the same tenant.
  const mirrors = Array.from({ length: 60 }, (_, index) => cycle(`m${index}`, `tenant${Math.floor(index / 10)}`));
  await Promise.all(opened.queues.map((queue) => queue.offer(mirrors)));
  const done = new Set<string>();
  for (let round = 0; round < 60 && done.size < mirrors.length; round++) {
    const claims = (await Promise.all(opened.queues.map((queue) => queue.claim(places(2))))).flat();
    assert.equal(new Set(claims.map(({ tenant }) => tenant)).size, claims.length);
    for (const claim of claims) {
      done.add(claim.mirrorId);
      await first(opened.queues).release(claim);
    }
  }
  assert.equal(done.size, 60);
});

test('a center that begins with PGlite finds nothing claimed: nobody else had it', async () => {
  await using before = await open('pglite');
  await first(before.queues).offer([cycle('a1', 'a')]);
  assert.equal((await first(before.queues).claim(places(1))).length, 1);
  await using after = await open('pglite');
  await first(after.queues).offer([cycle('a1', 'a')]);
  assert.equal(first(await first(after.queues).claim(places(1))).earlierClaims, 0);
});
