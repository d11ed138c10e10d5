import assert from 'node:assert/strict';
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DiskFile } from '../../src/core/disk.ts';
import { copyDatabaseFile } from '../../src/engine/sqlite/copy.ts';
import { RedoFile } from '../../src/engine/sqlite/redo.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { alteredFile } from '../support/engine/altered-file.ts';
import { assertSameBytes, CapturedDatabase, sumOf } from '../support/engine/captured-database.ts';
import { databaseShape, noise, runStep, SCHEMA, type SqlStep, sqlStep } from '../support/engine/random-sql.ts';

const RUNS = Number(process.env['SPEIL_RUNS'] ?? 30);
const SECTOR_BYTES = 512;
const { signal } = new AbortController();

const manySteps = fc.array(fc.array(sqlStep, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 15 });

/** Redoes what was captured after the first `from` pieces. */
async function redoInto(path: string, source: CapturedDatabase, from: number): Promise<void> {
  const file = await systemDisk.open(path, 'write');
  const redo = new RedoFile(file, { cacheBytes: 0 });
  for (const { payload, continued } of source.pieces.slice(from)) await redo.apply(payload, { continued });
  await redo.flush();
  await file.close();
}

/** Each sector as it was in one of the states, the file as long as in one of them. The last state has what lay beyond the end earlier. */
function mixture(states: readonly Uint8Array[], choices: readonly number[]): Buffer {
  const choice = (n: number): Uint8Array =>
    states[(choices[n % choices.length] as number) % states.length] as Uint8Array;
  const mixed = Buffer.alloc(choice(0).length);
  for (let at = 0, n = 1; at < mixed.length; at += SECTOR_BYTES, n++)
    mixed.set(choice(n).subarray(at, at + SECTOR_BYTES), at);
  return mixed;
}

test('redo converges from any mixture of old and new sectors', async () => {
  const choices = fc.array(fc.nat(1000), { minLength: 7, maxLength: 61 });
  await fc.assert(
    fc.asyncProperty(databaseShape, manySteps, choices, async (shape, steps, choices) => {
      using source = new CapturedDatabase(shape, SCHEMA);
      const states: Buffer[] = [readFileSync(source.path)];
      await source.capture({ payloadBytesMax: 5000, loadedBytesMax: 20_000 });
      for (const some of steps) {
        for (const one of some) runStep(source.connections, one);
        await source.take();
        states.push(source.asSqliteHasIt());
      }
      states.push(Buffer.concat([states[0] as Uint8Array, noise(20 * shape.pageSize, 1)]));
      const copy = source.file('copy.db');
      writeFileSync(copy, mixture(states, choices));
      await redoInto(copy, source, 0);
      if (source.pieces.length > 0) assertSameBytes(readFileSync(copy), states.at(-2) as Buffer, shape.pageSize, 'it');
    }),
    { numRuns: RUNS },
  );
});

/** Work that goes on before each write of a copy. */
const whileWriting = (file: DiskFile, work: () => Promise<void>): DiskFile =>
  alteredFile(file, {
    write: async (pieces, position) => {
      await work();
      await file.write(pieces, position);
    },
  });

type Step = readonly SqlStep[] | 'PASSIVE' | 'RESTART' | 'TRUNCATE';

const copySteps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.array(sqlStep, { minLength: 1, maxLength: 6 }) },
    { weight: 1, arbitrary: fc.constantFrom('PASSIVE' as const, 'RESTART' as const, 'TRUNCATE' as const) },
  ),
  { maxLength: 30 },
);

test('a fuzzy copy, with the journal since the checkpoint before it began, is the database', async () => {
  await fc.assert(
    fc.asyncProperty(databaseShape, copySteps, copySteps, async (shape, before, during) => {
      using source = new CapturedDatabase(shape, SCHEMA);
      await source.capture();
      let checkpointed = 0;
      const run = async (step: Step): Promise<void> => {
        await source.take();
        if (typeof step !== 'string') for (const one of step) runStep(source.connections, one);
        else if (source.checkpoint(step)) checkpointed = source.pieces.length;
        await source.take();
      };
      for (const step of before) await run(step);
      const first = checkpointed;
      const left = [...during];
      const copy = source.file('copy.db');
      const target = await systemDisk.open(copy, 'create');
      const descriptor = openSync(source.path, 'r');
      await copyDatabaseFile(
        descriptor,
        whileWriting(target, async () => {
          const step = left.shift();
          if (step !== undefined) await run(step);
        }),
        { signal, chunkBytes: 2048 },
      );
      await target.close();
      for (const step of left) await run(step);
      await redoInto(copy, source, first);
      assertSameBytes(readFileSync(copy), source.asSqliteHasIt(), shape.pageSize, 'the copy');
      closeSync(descriptor);
    }),
    { numRuns: RUNS },
  );
});

test('a copy tells how far it is and can be stopped', async () => {
  using source = new CapturedDatabase();
  source.connections[0]?.exec(
    'CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(100000)); PRAGMA wal_checkpoint(TRUNCATE)',
  );
  const length = readFileSync(source.path).length;
  const path = source.file('copy.db');
  copyFileSync(source.path, path);
  const target = await systemDisk.open(path, 'write');
  const descriptor = openSync(source.path, 'r');
  const seen: number[][] = [];
  const stopping = new AbortController();
  const onProgress = (...progress: [number, number]) => {
    seen.push(progress);
    if (seen.length === 2) stopping.abort();
  };
  const options = { signal: stopping.signal, chunkBytes: 40_000, onProgress };
  await assert.rejects(copyDatabaseFile(descriptor, target, options), { name: 'AbortError' });
  assert.deepEqual(seen, [
    [40_000, length],
    [80_000, length],
  ]);
  assert.equal(await copyDatabaseFile(descriptor, target, { signal }), length);
  assert.equal(await sumOf(path), await sumOf(source.path));
  await target.close();
  closeSync(descriptor);
});
