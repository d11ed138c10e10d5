import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Lsn } from '../../src/core/lsn.ts';
import { createJournal } from '../../src/journal/create-journal.ts';
import { checkJournal } from '../../src/journal/inspect-journal.ts';
import type { Journal } from '../../src/journal/journal.ts';
import { openJournal } from '../../src/journal/open-journal.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { LINEAGE } from '../support/journal/drafts.ts';
import { SeededRandom, withDirectory } from '../support/workload.ts';
import { payloadOf } from './journal-payload.ts';

const CHILD = new URL('./journal-child.ts', import.meta.url);
const KILLS = 10;

/** Runs until it has acknowledged so many times, and a moment longer; answers the last LSN it told. */
async function killedAfter(argument: unknown, acknowledgements: number, alsoWaitFor: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD.pathname, JSON.stringify(argument)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  child.stdout.on('data', (data: Buffer) => {
    told += data;
    if (told.split('\n').length > acknowledgements) setTimeout(() => child.kill('SIGKILL'), alsoWaitFor);
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', `the process ended with ${code}`);
  return Number(told.split('\n').at(-2));
}

async function assertWhole(journal: Journal): Promise<void> {
  let part = 0;
  for await (const block of journal.read(Lsn.after(journal.start.lsn))) {
    part += 1;
    assert.ok(payloadOf(Number(block.first), part).equals(block.payload), `commit ${block.first}, part ${part}`);
    if (!block.continued) part = 0;
  }
}

test(`what was acknowledged is there after ${KILLS} kills`, async () => {
  using directory = withDirectory();
  const options = { disk: systemDisk, folder: directory.file('journal'), segmentBytes: 16 << 10 };
  await (await createJournal({ ...options, lineage: LINEAGE }))[Symbol.asyncDispose]();
  const random = new SeededRandom(1);
  for (let kills = 0; kills < KILLS; kills += 1) {
    const acknowledged = await killedAfter(options, random.integer(1, 60), random.integer(0, 5));
    const { findings } = await checkJournal(options);
    assert.deepEqual(
      findings.filter(({ kind }) => kind === 'damage'),
      [],
    );
    const { journal } = await openJournal({ ...options, hardenedAtLeast: Lsn.of(acknowledged) });
    assert.ok(journal.hardened.lsn >= acknowledged, `${journal.hardened.lsn} of ${acknowledged}`);
    await assertWhole(journal);
    await journal[Symbol.asyncDispose]();
  }
});
