import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { RedoFile } from '../../src/engine/sqlite/redo.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { assertSameBytes, CapturedDatabase, sumOf } from '../support/engine/captured-database.ts';
import { databaseShape, runStep, SCHEMA, sqlStep } from '../support/engine/random-sql.ts';

const step = fc.oneof(
  { weight: 12, arbitrary: fc.array(sqlStep, { minLength: 1, maxLength: 6 }) },
  { weight: 3, arbitrary: fc.constantFrom('PASSIVE' as const, 'RESTART' as const, 'TRUNCATE' as const) },
  { weight: 6, arbitrary: fc.constant('compare' as const) },
);

const limits = fc.constantFrom({}, { loadedBytesMax: 20_000, payloadBytesMax: 5000, keptBytes: 0 });

test('after every block the redone copy is the database, byte for byte', async () => {
  await fc.assert(
    fc.asyncProperty(databaseShape, limits, fc.array(step, { maxLength: 25 }), async (shape, limits, steps) => {
      using source = new CapturedDatabase(shape, SCHEMA);
      const copy = source.file('copy.db');
      copyFileSync(source.path, copy);
      await source.capture(limits);
      const file = await systemDisk.open(copy, 'write');
      const redo = new RedoFile(file, { databaseChecksum: await sumOf(copy), cacheBytes: 0 });
      for (const step of [...steps, 'compare' as const]) {
        if (step === 'compare') {
          await redo.flush();
          assertSameBytes(readFileSync(copy), source.asSqliteHasIt(), shape.pageSize, 'the copy');
        } else if (typeof step === 'string') source.checkpoint(step);
        else for (const one of step) runStep(source.connections, one);
        const pieces = await source.take();
        for (const { payload, continued } of pieces) await redo.apply(payload, { continued });
        assert.equal(redo.databaseChecksum, pieces.at(-1)?.databaseChecksum ?? redo.databaseChecksum);
      }
      await file.close();
      assert.equal(await sumOf(copy), redo.databaseChecksum);
      using reader = new DatabaseSync(copy);
      assert.deepEqual({ ...reader.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
    }),
    { numRuns: Number(process.env['SPEIL_RUNS'] ?? 40) },
  );
});
