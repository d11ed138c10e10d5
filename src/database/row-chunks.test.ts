import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cutAtRows } from './row-chunks.ts';

async function* pieces(all: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let i = 0; at < all.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield all.subarray(at, at + size);
    at += size;
  }
}

const rowsOf = (bytes: Buffer): string[] => bytes.toString().split('\n').slice(0, -1);

test('chunks are whole rows in order, within the size unless a row is larger', async () => {
  const row = fc.string({ unit: fc.constantFrom('a', 'ø', '\t'), maxLength: 60 });
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 40 }),
      sizes,
      fc.integer({ min: 1, max: 100 }),
      async (rows, cuts, chunkBytes) => {
        const all = Buffer.from(rows.map((text) => `${text}\n`).join(''));
        const chunks = await Array.fromAsync(cutAtRows(pieces(all, cuts), chunkBytes));
        assert.deepEqual(chunks.flatMap(rowsOf), rows);
        for (const chunk of chunks)
          assert.ok(chunk.length <= chunkBytes || rowsOf(chunk).length === 1, `${chunk.length} bytes`);
      },
    ),
  );
});

test('nothing gives nothing', async () => {
  assert.deepEqual(await Array.fromAsync(cutAtRows(pieces(Buffer.alloc(0), [1]), 10)), []);
});
