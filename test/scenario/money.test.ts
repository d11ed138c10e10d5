import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { mirror } from '../../src/mirror.ts';
import type { TaskEvent } from '../../src/task/report.ts';
import { type Mirroring, testPairs } from '../conformance/mirroring.ts';
import { assertMoney, BANK, Customers } from '../crash/bank.ts';
import { eventually } from '../support/workload.ts';

/** When a cycle is complete the mirror is one snapshot of the source over all tables. Guarantee T3. */
async function openBank(mirroring: Mirroring): Promise<void> {
  await mirroring.source.sql(BANK);
}

testPairs('money moves between tables during cycles: after each of them none is lost or made', async (mirroring) => {
  await openBank(mirroring);
  await using customers = new Customers(mirroring.source, 1);
  for (let cycle = 0; cycle < 12; cycle++) {
    const before = customers.count;
    await mirroring.cycle({ batchBytes: 20_000 });
    await assertMoney(mirroring.mirror);
    await eventually(() => assert.ok(customers.count > before + 5));
  }
  await customers.stop();
  await mirroring.follow();
});

testPairs('copies of single tables amid the others’ changes: still one snapshot', async (mirroring) => {
  await openBank(mirroring);
  await mirroring.cycle();
  await using _customers = new Customers(mirroring.source, 2);
  for (const table of ['checking', 'saving', 'transfer', 'checking', 'saving']) {
    await mirroring.mirror.sql(`UPDATE speil_mirroring SET lsn = -1 WHERE table_name = '${table}'`);
    await mirroring.cycle({ batchBytes: 20_000 });
    await assertMoney(mirroring.mirror);
  }
});

testPairs('whoever reads the mirror while it follows sees one state of the bank at any time', async (mirroring) => {
  await openBank(mirroring);
  await mirroring.cycle();
  await using following = new Following(mirroring);
  {
    await using _customers = new Customers(mirroring.source, 3);
    const end = performance.now() + 20_000;
    while (following.rounds < 12 && performance.now() < end) {
      await assertMoney(mirroring.mirror);
      await setImmediate();
    }
    assert.ok(following.rounds >= 12, `${following.rounds} rounds in 20 s`);
  }
  await eventually(() => mirroring.same());
});

/** A task that follows its source until it is disposed. */
class Following implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #task: Promise<unknown>;
  #rounds = 0;

  constructor({ source, mirror: { address } }: Mirroring) {
    const onEvent = ({ event }: TaskEvent): void => {
      if (event === 'cycle') this.#rounds++;
    };
    const task = mirror({ source: source.address, mirror: address, follow: true, signal: this.#stop.signal, onEvent });
    this.#task = assert.rejects(task, { code: 'INTERRUPTED' });
    this.#task.catch(() => undefined);
  }

  get rounds(): number {
    return this.#rounds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#task;
  }
}
