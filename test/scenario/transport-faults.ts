import assert from 'node:assert/strict';
import { CALL_NAMES, type CallName } from '../../src/client/exchange.ts';
import type { TestDatabase } from '../conformance/mirroring.ts';
import { hurried } from '../support/dialled.ts';
import { assertSameRows } from '../support/dump.ts';
import type { Fault, FaultKind } from '../support/fault-proxy.ts';
import { type Cycle, RemoteTask, type RemoteTaskOptions, type Transport } from '../support/remote-task.ts';
import { eventually, SeededRandom, withDirectory } from '../support/workload.ts';
import { database, SHOP, trade } from './shop.ts';

/** Waits of minutes take seconds; those of a handshake still have a quarter of a second. */
const CLOCK = hurried(40);

/** A shop, its task and its client with a mirror for each tenant, and the proxy between them. */
export class FaultScene implements AsyncDisposable {
  readonly source: TestDatabase;
  readonly remote: RemoteTask;
  readonly #mirrors: string;
  readonly #directory: Disposable;

  private constructor(source: TestDatabase, remote: RemoteTask, mirrors: string, directory: Disposable) {
    this.source = source;
    this.remote = remote;
    this.#mirrors = mirrors;
    this.#directory = directory;
  }

  /** SQLite to SQLite, unless told otherwise. */
  static async start(transport: Transport, options: Partial<RemoteTaskOptions> = {}): Promise<FaultScene> {
    const directory = withDirectory();
    const address = options.source ?? `sqlite:${directory.file('source.db')}`;
    const mirrors = options.mirrors ?? `sqlite:${directory.file('mirror-{tenant}.db')}`;
    const source = database(address);
    await source.sql(SHOP);
    const remote = await RemoteTask.start({ clock: CLOCK, ...options, transport, source: address, mirrors });
    return new FaultScene(source, remote, mirrors, directory);
  }

  mirror(tenant: string): TestDatabase {
    return database(this.#mirrors.replace('{tenant}', tenant));
  }

  same(tenant: string): Promise<void> {
    return assertSameRows(this.source.address, this.mirror(tenant).address);
  }

  /** A cycle in which the fault happens at the first call of this name; then the mirror must be the source. */
  async cycleWith(tenant: string, call: CallName, fault: Fault): Promise<Cycle> {
    const { proxy } = this.remote;
    await this.remote.reachable();
    const before = proxy.happened.length;
    let isArmed = false;
    const cycle = await this.remote.cycle(tenant, {
      waits: true,
      onCall: (name) => {
        if (name !== call || isArmed) return;
        isArmed = true;
        proxy.arm(fault);
      },
    });
    proxy.disarm();
    assert.equal(proxy.happened.length, before + 1, 'the fault happened');
    assert.equal(cycle.report.status, 'completed');
    await this.same(tenant);
    return cycle;
  }

  /** How many bytes the first call of each name and its answer take, from a cycle of a tenant of its own. */
  async sizes(): Promise<Readonly<Record<CallName, Readonly<Record<'call' | 'answer', number>>>>> {
    const { proxy } = this.remote;
    const marks: { readonly name: CallName; readonly up: number; readonly down: number }[] = [];
    await this.remote.cycle('measured', { waits: true, onCall: (name) => void marks.push({ name, ...proxy.passed }) });
    const ends = [...marks.slice(1), { ...proxy.passed }];
    const entries = CALL_NAMES.map((name) => {
      const at = marks.findIndex((mark) => mark.name === name);
      const [begin, end] = [marks[at], ends[at]];
      assert.ok(begin && end, `${name} was called`);
      const between = (what: 'call' | 'answer') => {
        const direction = this.remote.direction(what);
        return end[direction] - begin[direction];
      };
      return [name, { call: between('call'), answer: between('answer') }] as const;
    });
    return Object.fromEntries(entries) as Record<CallName, Record<'call' | 'answer', number>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remote[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

/** Cuts every call and every answer, in each way, at the beginning, in the middle and before the last byte. */
export async function cutEveryCall(transport: Transport): Promise<void> {
  await using scene = await FaultScene.start(transport);
  const sizes = await scene.sizes();
  const kinds: readonly FaultKind[] = ['reset', 'end', 'truncate'];
  let nth = 0;
  for (const call of CALL_NAMES) {
    for (const what of ['call', 'answer'] as const) {
      for (const kind of kinds) {
        const bytes = sizes[call][what];
        const afterBytes = [0, Math.floor(bytes / 2), bytes - 1][nth % 3] ?? 0;
        const fault: Fault = { kind, direction: scene.remote.direction(what), afterBytes };
        const { events } = await scene.cycleWith(`tenant${nth++}`, call, fault);
        assert.ok(
          events.some(({ event }) => event === 'retry'),
          `${kind} in the ${what} of ${call} after ${afterBytes} bytes was noticed`,
        );
      }
    }
  }
}

/** Days of trade, each mirrored through a fault at a random moment; the mirror is the source after each. */
export async function randomFaults(
  transport: Transport,
  seed: number,
  options: Partial<RemoteTaskOptions> = {},
  days = 12,
): Promise<void> {
  const random = new SeededRandom(seed);
  await using scene = await FaultScene.start(transport, options);
  const { proxy } = scene.remote;
  for (let day = 1; day <= days; day++) {
    await trade(scene.source);
    const what = random.pick(['call', 'answer'] as const);
    const fault: Fault = {
      kind: random.pick(['reset', 'end', 'truncate', 'delay'] as const),
      direction: scene.remote.direction(what),
      afterBytes: random.integer(0, what === 'call' ? 8_000 : 1_500),
      delayMs: 50,
    };
    await scene.remote.reachable();
    proxy.arm(fault);
    const { report } = await scene.remote.cycle('shop', { waits: true });
    proxy.disarm();
    assert.equal(report.status, 'completed', `day ${day}, ${JSON.stringify(fault)}`);
    await scene.same('shop');
  }
  assert.notEqual(proxy.happened.length, 0, 'faults happened');
}

/** The line goes dead without a word in the middle of a call, or of its answer. */
export async function halfOpen(transport: Transport): Promise<void> {
  await using scene = await FaultScene.start(transport);
  for (const what of ['call', 'answer'] as const) {
    const fault: Fault = { kind: 'hold', direction: scene.remote.direction(what), afterBytes: 100 };
    const { events } = await scene.cycleWith(`tenant-${what}`, 'row-data', fault);
    const retry = events.find(({ event }) => event === 'retry');
    assert.equal(retry?.event === 'retry' && retry.error.code, 'CONNECTION_LOST');
  }
}

/** Somebody who has recorded the line plays it again: to the client what the center said, and the other way around. */
export async function replay(transport: Transport, isAnswer: (text: string) => boolean): Promise<string> {
  await using scene = await FaultScene.start(transport);
  const { proxy } = scene.remote;
  await scene.remote.cycle('shop', { waits: true });
  await trade(scene.source);
  proxy.record();
  if (transport === 'dialled') {
    const { center } = scene.remote;
    proxy.resetAll();
    await eventually(() => {
      assert.equal(center.events.filter(({ event }) => event === 'client-connected').length, 2);
    });
    await center.connected(1);
  }
  await scene.remote.cycle('shop', { waits: true });
  const recorded = proxy.recorded();
  await scene.same('shop');
  const before = await scene.mirror('shop').sql('SELECT * FROM shop_mirroring ORDER BY 1');
  const answer = await proxy.repeat(recorded, isAnswer);
  assert.deepEqual(await scene.mirror('shop').sql('SELECT * FROM shop_mirroring ORDER BY 1'), before);
  await trade(scene.source);
  await scene.remote.cycle('shop', { waits: true });
  await scene.same('shop');
  return answer;
}
