import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { RedoFile, type WriteGate } from '../../src/engine/sqlite/redo.ts';
import { SqliteWriteGate } from '../../src/engine/sqlite/write-gate.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { CapturedDatabase } from '../support/engine/captured-database.ts';
import type { Seen } from '../support/engine/reader-child.ts';

const SCRIPT = new URL('../support/engine/reader-child.ts', import.meta.url).pathname;
const READERS = 2;
const READS_ENOUGH = 400;
/** The states that are written at most while readers are waited for. */
const STATES_MAX = 50_000;

/** A process that reads the same rows again and again. */
class Reader implements Disposable {
  readonly #child: ChildProcess;
  seen: Seen = { reads: -1, torn: 0, newest: 0 };

  constructor(path: string) {
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SCRIPT, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.seen = JSON.parse(line);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

type Run = { readonly readers: readonly Reader[]; readonly writeState: () => Promise<number> };

/** A read mirror of a table whose rows all have the number of the state; each state is one commit that changes every page. */
async function withReadMirror(gated: boolean, run: (run: Run) => Promise<void>): Promise<void> {
  using source = new CapturedDatabase(
    undefined,
    `CREATE TABLE t(state INT, filler);
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO t SELECT 1, zeroblob(900) FROM n`,
  );
  const capture = await source.capture();
  const copy = source.file('mirror.db');
  copyFileSync(source.path, copy);
  const file = await systemDisk.open(copy, 'write');
  const gates: WriteGate[] = [];
  const gate = { enter: async () => gates[0]?.enter(), leave: async () => gates[0]?.leave() };
  const redo = new RedoFile(file, { asReadMirror: true, gate });
  let state = 1;
  const writeState = async (): Promise<number> => {
    source.connections[0]?.exec(`UPDATE t SET state = ${++state}`);
    const piece = capture.take();
    assert.ok(piece !== null && piece !== 'large');
    await redo.apply(piece.payload);
    await redo.flush();
    if (state % 50 === 0) source.checkpoint('TRUNCATE');
    return state;
  };
  await writeState();
  using connection = new SqliteWriteGate(copy, systemClock, new AbortController().signal);
  if (gated) gates.push(connection);
  const readers = Array.from({ length: READERS }, () => new Reader(copy));
  try {
    await run({ readers, writeState });
  } finally {
    for (const reader of readers) reader[Symbol.dispose]();
  }
}

test('readers in other processes never see a torn state behind the gate, and see the newest one', async () => {
  await withReadMirror(true, async ({ readers, writeState }) => {
    let state = 0;
    while (state < STATES_MAX && readers.some(({ seen }) => seen.reads < READS_ENOUGH)) {
      state = await writeState();
      await nextTurn();
    }
    for (let turns = 0; turns < 1e6 && readers.some(({ seen }) => seen.newest < state); turns++) await nextTurn();
    for (const { seen } of readers) {
      assert.ok(seen.reads >= READS_ENOUGH);
      assert.deepEqual([seen.torn, seen.newest], [0, state]);
    }
  });
});

test('without the gate they do', async () => {
  await withReadMirror(false, async ({ readers, writeState }) => {
    const torn = () => readers.some(({ seen }) => seen.torn > 0);
    while (!torn() && (await writeState()) < STATES_MAX) await nextTurn();
    assert.ok(torn());
  });
});
