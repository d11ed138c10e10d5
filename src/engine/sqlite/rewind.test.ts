import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import { assertSameBytes, CapturedDatabase } from '../../../test/support/engine/captured-database.ts';
import { databaseShape, runStep, SCHEMA, sqlStep } from '../../../test/support/engine/random-sql.ts';
import { systemDisk } from '../../runtime/system-disk.ts';
import { allocatePageBuffer } from './page-buffer.ts';
import { PageChangesWriter } from './page-changes.ts';
import { RedoFile } from './redo.ts';
import { type FetchedPage, planRewind, type RewindPlan, rewind } from './rewind.ts';

async function* pagesFrom(database: Buffer, { spans, pageSize }: RewindPlan): AsyncGenerator<FetchedPage> {
  for (const { first, last } of spans)
    for (let page = first; page <= last; page++) {
      const image = database.subarray((page - 1) * pageSize, page * pageSize);
      yield { page, image: image.length === 0 ? null : image };
    }
}

async function redoInto(path: string, payloads: readonly Uint8Array[]): Promise<void> {
  const file = await systemDisk.open(path, 'write');
  const redo = new RedoFile(file, { cacheBytes: 0 });
  for (const payload of payloads) await redo.apply(payload);
  await redo.flush();
  await file.close();
}

const steps = fc.array(fc.array(sqlStep, { minLength: 1, maxLength: 5 }), { maxLength: 8 });

test('rewound by the pages of its divergent blocks, a database follows the other history', async () => {
  await fc.assert(
    fc.asyncProperty(databaseShape, steps, steps, steps, async (shape, common, mine, theirs) => {
      using deposed = new CapturedDatabase(shape, SCHEMA);
      await deposed.capture();
      const run = async (database: CapturedDatabase, all: typeof steps extends fc.Arbitrary<infer T> ? T : never) => {
        for (const some of all) {
          for (const step of some) runStep(database.connections.slice(0, 1), { ...step, connection: 0 });
          await database.take();
        }
        if ((database.connections[0] as DatabaseSync).isTransaction)
          (database.connections[0] as DatabaseSync).exec('ROLLBACK');
      };
      await run(deposed, common);
      using principal = new CapturedDatabase(shape, '', (path) => writeFileSync(path, deposed.asSqliteHasIt()));
      await principal.capture();
      const since = deposed.pieces.length;
      await run(deposed, mine);
      await run(principal, theirs);
      const copy = deposed.file('copy.db');
      writeFileSync(copy, deposed.asSqliteHasIt());
      const plan = planRewind(deposed.pieces.slice(since).map(({ payload }) => payload));
      if (plan !== null) {
        const file = await systemDisk.open(copy, 'write');
        await rewind(file, plan, pagesFrom(principal.asSqliteHasIt(), plan));
        await file.close();
      }
      await redoInto(
        copy,
        principal.pieces.map(({ payload }) => payload),
      );
      assertSameBytes(readFileSync(copy), principal.asSqliteHasIt(), shape.pageSize, 'the rewound database');
    }),
    { numRuns: Number(process.env['SPEIL_RUNS'] ?? 20) },
  );
});

test('pages in another order, of another size, or too few of them are refused', async () => {
  using source = new CapturedDatabase();
  const path = source.file('copy.db');
  copyFileSync(source.path, path);
  const file = await systemDisk.open(path, 'write');
  const plan: RewindPlan = { pageSize: 512, pageCount: 9, spans: [{ first: 2, last: 3 }] };
  const image = new Uint8Array(512);
  async function* from(...pages: FetchedPage[]) {
    yield* pages;
  }
  const refused = (message: RegExp) => ({ code: 'PAYLOAD_REFUSED', recovery: 'retry', message });
  await assert.rejects(rewind(file, plan, from({ page: 3, image })), refused(/page 3 came in the place of 2/));
  await assert.rejects(rewind(file, plan, from({ page: 2, image })), refused(/page 3 did not come/));
  await assert.rejects(rewind(file, plan, from({ page: 2, image: image.subarray(1) })), refused(/511 bytes/));
  const all = [2, 3, 4].map((page) => ({ page, image }));
  await assert.rejects(rewind(file, plan, from(...all)), refused(/page 4 came in the place of undefined/));
  await file.close();
});

function payload(pageSize: number, before: number, after: number, pages: readonly number[]): Uint8Array {
  const writer = new PageChangesWriter();
  writer.begin({ pageSize, before, after });
  for (const page of pages) writer.add(page, allocatePageBuffer(pageSize), 0, Uint32Array.of(0, 1), 1);
  return writer.finish();
}

test('the plan: what was changed or dropped of the common state, each page once', () => {
  const divergent = [payload(512, 10, 10, [2, 9]), payload(512, 10, 8, [3]), payload(512, 8, 12, [2, 9, 11])];
  const spans = [
    { first: 2, last: 3 },
    { first: 9, last: 10 },
  ];
  assert.deepEqual(planRewind(divergent), { pageSize: 512, pageCount: 10, spans });
  assert.deepEqual(planRewind([payload(512, 3, 9, [1, 5])])?.spans, [{ first: 1, last: 1 }]);
});

test('another page size: no plan', () => {
  assert.equal(planRewind([payload(512, 3, 3, [1]), payload(1024, 0, 2, [1])]), null);
});

test('no blocks, no plan', () => {
  assert.equal(planRewind([]), null);
});
