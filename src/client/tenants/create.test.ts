import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { eventually, withDirectory } from '../../../test/support/workload.ts';
import type { SpeilError } from '../../core/error.ts';
import type { MirrorDatabase } from '../../database/mirror-database.ts';
import { openMirror, provisionMirror, runtime, thisProcess } from '../../open.ts';
import { createTenantMirrors, type PooledMirrors, type TenantMirrorsOptions, TURNS_WAITING_MAX } from './create.ts';

const pool = (template: string, more: Partial<TenantMirrorsOptions> = {}): PooledMirrors =>
  createTenantMirrors({
    template,
    open: openMirror,
    provision: provisionMirror,
    holder: thisProcess,
    clock: runtime.clock,
    ...more,
  });

const makeMetadata = (mirror: MirrorDatabase) => mirror.transaction({ relaxed: false }, (tx) => tx.ensureMetadata());

const code =
  (expected: string, pattern = /./) =>
  (error: SpeilError) => {
    assert.equal(error.code, expected, String(error));
    assert.match(error.message, pattern);
    return true;
  };

/** Work that runs until it is let go. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise, open: resolve };
}

test('every tenant has a file of its own, in a folder that is made', async () => {
  using directory = withDirectory();
  await using mirrors = pool(`sqlite:${directory.file('deep/er')}/{tenant}.db`);
  for (const tenant of ['acme', 'Ørsted', 'Cust10195']) await mirrors.use(tenant, '', makeMetadata);
  const files = readdirSync(directory.file('deep/er')).filter((name) => name.endsWith('.db'));
  assert.deepEqual(files.toSorted(), ['Cust10195.db', 'acme.db', 'Ørsted.db']);
  assert.deepEqual(await mirrors.use('acme', '', (mirror) => mirror.tenants()), ['acme']);
});

test('ten first calls at once open one database, and have it one after another', async () => {
  using directory = withDirectory();
  let opened = 0;
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`, {
    open: (address, options) => {
      opened++;
      return openMirror(address, options);
    },
  });
  const seen: number[] = [];
  let inside = 0;
  const call = (index: number) =>
    mirrors.use('acme', '', async (mirror) => {
      assert.equal(++inside, 1);
      await makeMetadata(mirror);
      seen.push(index);
      inside--;
    });
  await Promise.all(Array.from({ length: 10 }, (_, index) => call(index)));
  assert.deepEqual([seen, opened, mirrors.openCount], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1, 1]);
});

test('tenants do not wait for each other, and a turn that fails ends as a turn', async () => {
  using directory = withDirectory();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`);
  const slow = gate();
  const first = mirrors.use('acme', '', slow.work);
  const second = mirrors.use('acme', '', () => Promise.reject(new Error('mine')));
  await mirrors.use('other', '', makeMetadata);
  slow.open();
  await first;
  await assert.rejects(second, /mine/);
  await mirrors.use('acme', '', makeMetadata);
});

test('too many calls of one tenant are refused', async () => {
  using directory = withDirectory();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`);
  const slow = gate();
  const calls = Array.from({ length: TURNS_WAITING_MAX + 1 }, () => mirrors.use('acme', '', slow.work));
  await assert.rejects(mirrors.use('acme', '', slow.work), code('MIRROR_BUSY', /wait already/));
  await mirrors.use('other', '', makeMetadata);
  slow.open();
  await Promise.all(calls);
});

test('a mirror that nobody uses is closed and let go, and opened again when it is needed', async () => {
  using directory = withDirectory();
  const clock = new ManualClock();
  const template = `sqlite:${directory.file('{tenant}.db')}`;
  await using mirrors = pool(template, { clock, idleMs: 1_000 });
  await using others = pool(template);
  await mirrors.use('acme', '', makeMetadata);
  await assert.rejects(others.use('acme', '', makeMetadata), code('MIRROR_BUSY', /held by process/));
  clock.advance(999);
  await mirrors.use('acme', '', makeMetadata);
  assert.equal(mirrors.openCount, 1);
  await eventually(() => {
    clock.advance(1_000);
    assert.equal(mirrors.openCount, 0);
  });
  await others.use('acme', '', makeMetadata);
});

test('a mirror that is used is not closed, however long it takes', async () => {
  using directory = withDirectory();
  const clock = new ManualClock();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`, { clock, idleMs: 1_000 });
  await mirrors.use('acme', '', makeMetadata);
  const slow = gate();
  const call = mirrors.use('acme', '', async (mirror) => {
    await slow.work();
    await makeMetadata(mirror);
  });
  for (let round = 0; round < 10; round++) {
    clock.advance(5_000);
    await new Promise(setImmediate);
  }
  slow.open();
  await call;
  assert.equal(mirrors.openCount, 1);
});

test('at most so many are open: the one that rested longest is closed first, and who uses one is waited for', async () => {
  using directory = withDirectory();
  const clock = new ManualClock();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`, { clock, openMax: 2 });
  const held: MirrorDatabase[] = [];
  for (const tenant of ['a', 'b']) {
    clock.advance(1);
    await mirrors.use(tenant, '', async (mirror) => void held.push(mirror));
  }
  await mirrors.use('c', '', makeMetadata);
  assert.equal(mirrors.openCount, 2);
  assert.equal(await mirrors.use('b', '', async (mirror) => mirror === held[1]), true, 'b was not closed');
  const gates = [gate(), gate()] as const;
  const busy = [mirrors.use('b', '', gates[0].work), mirrors.use('c', '', gates[1].work)];
  const waiting = mirrors.use('a', '', async (mirror) => {
    assert.notEqual(mirror, held[0], 'a was closed');
    return mirrors.openCount;
  });
  assert.equal(await Promise.race([waiting, new Promise((resolve) => setImmediate(resolve, 'waits'))]), 'waits');
  gates[0].open();
  assert.equal(await waiting, 2);
  gates[1].open();
  await Promise.all(busy);
});

test('a server that takes no more has fewer mirrors open at once, and is asked for more after a while', async () => {
  using directory = withDirectory();
  const refused = new Error('there are no more connections');
  let room = 2;
  let asked = 0;
  await using mirrors: PooledMirrors = pool(`sqlite:${directory.file('{tenant}.db')}`, {
    idleMs: 1_000,
    isFull: (error) => error === refused,
    open: (address, options) => {
      if (mirrors.openCount < room) return openMirror(address, options);
      asked++;
      return Promise.reject(refused);
    },
  });
  for (const tenant of ['a', 'b', 'c', 'd', 'e']) await mirrors.use(tenant, '', makeMetadata);
  assert.deepEqual([mirrors.openCount, asked], [2, 1]);
  room = 4;
  await eventually(() => assert.equal(mirrors.openCount, 0));
  const slow = gate();
  const calls = ['a', 'b', 'c', 'd'].map((tenant) => mirrors.use(tenant, '', slow.work));
  try {
    await eventually(() => assert.equal(mirrors.openCount, 4));
  } finally {
    slow.open();
  }
  await Promise.all(calls);
});

test('two tenants cannot share one database, neither now nor later', async () => {
  using directory = withDirectory();
  const template = `sqlite:${directory.file('all.db')}`;
  {
    await using mirrors = pool(template);
    await mirrors.use('acme', '', makeMetadata);
    await assert.rejects(mirrors.use('other', '', makeMetadata), code('CONFLICT', /tenant acme/));
    await mirrors.use('acme', '', makeMetadata);
  }
  await using later = pool(template);
  await assert.rejects(later.use('other', '', makeMetadata), code('CONFLICT', /tenant acme/));
  assert.equal(later.openCount, 0);
  await later.use('acme', '', makeMetadata);
});

test('a hook may name the mirror, also another one later', async () => {
  using directory = withDirectory();
  const asked: string[] = [];
  await using mirrors = pool('sqlite:unused/{tenant}.db', {
    resolveMirror: ({ tenant, clientState }) => {
      asked.push(`${tenant} ${clientState}`);
      return `sqlite:${directory.file(`${tenant}-${clientState}.db`)}`;
    },
  });
  await mirrors.use('acme', 'one', makeMetadata);
  await mirrors.use('acme', 'two', makeMetadata);
  assert.deepEqual(asked, ['acme one', 'acme two']);
  assert.ok(existsSync(directory.file('acme-one.db')) && existsSync(directory.file('acme-two.db')));
  assert.equal(mirrors.openCount, 1);
});

test('a hook that cannot name the mirror fails the call, and only that', async () => {
  using directory = withDirectory();
  const answers: unknown[] = [undefined, new Error('no such customer'), `sqlite:${directory.file('a.db')}`];
  await using mirrors = pool('sqlite:unused.db', {
    resolveMirror: () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer as string;
    },
  });
  await assert.rejects(mirrors.use('acme', '', makeMetadata), code('UNREACHABLE', /must answer an address/));
  await assert.rejects(mirrors.use('acme', '', makeMetadata), code('UNREACHABLE', /no such customer/));
  await mirrors.use('acme', '', makeMetadata);
});

test('a file that was thrown away while it was open is made again', async () => {
  using directory = withDirectory();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`);
  await mirrors.use('acme', '', makeMetadata);
  rmSync(directory.file('acme.db'));
  assert.deepEqual(await mirrors.use('acme', '', (mirror) => mirror.tenants()), []);
  await mirrors.use('acme', '', makeMetadata);
  assert.ok(existsSync(directory.file('acme.db')));
});

test('what cannot name a tenant never becomes a path', async () => {
  using directory = withDirectory();
  await using mirrors = pool(`sqlite:${directory.file('{tenant}.db')}`);
  for (const name of ['../acme', '', 'a/b', 'a\0b', '..', '1', 'x'.repeat(41), "a'b"]) {
    await assert.rejects(mirrors.use(name, '', makeMetadata), code('USAGE'));
  }
  assert.deepEqual(readdirSync(directory.path), []);
});

test('the end waits for work and lets everything go', async () => {
  using directory = withDirectory();
  const template = `sqlite:${directory.file('{tenant}.db')}`;
  const mirrors = pool(template);
  const slow = gate();
  const running = mirrors.use('acme', '', slow.work);
  const queued = mirrors.use('acme', '', makeMetadata);
  const end = mirrors[Symbol.asyncDispose]();
  await assert.rejects(mirrors.use('acme', '', makeMetadata), code('UNREACHABLE', /ending/));
  slow.open();
  await Promise.all([running, queued, end]);
  assert.equal(mirrors.openCount, 0);
  await using others = pool(template);
  await others.use('acme', '', makeMetadata);
});
