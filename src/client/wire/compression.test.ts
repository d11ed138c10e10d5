import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { pack, unpack } from './compression.ts';

const repeated = Buffer.alloc(100_000, 'a row of text\n');

test('what is packed comes out again', async () => {
  const packed = await pack(repeated, true);
  assert.equal(packed.encoding, 'zstd');
  assert.ok(packed.body.byteLength < repeated.byteLength / 10);
  assert.deepEqual(await unpack(packed, repeated.byteLength), repeated);
});

test('what is small, what does not get smaller and what nobody wants compressed stays as it is', async () => {
  const noise = randomBytes(100_000);
  for (const [body, wanted] of [
    [Buffer.from('short'), true],
    [noise, true],
    [repeated, false],
  ] as const) {
    assert.deepEqual(await pack(body, wanted), { encoding: 'identity', body });
  }
  assert.deepEqual(await unpack({ encoding: 'identity', body: noise }, noise.byteLength), noise);
});

test('a body that unfolds to more than is taken is refused, however small it came', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(50_000_000));
  assert.ok(bomb.byteLength < 10_000);
  await assert.rejects(unpack({ encoding: 'zstd', body: bomb }, 1_000_000), { code: 'CALL_TOO_LARGE' });
  const exact = await pack(repeated, true);
  await assert.rejects(unpack(exact, repeated.byteLength - 1), { code: 'CALL_TOO_LARGE' });
  await assert.rejects(unpack({ encoding: 'identity', body: repeated }, 99_999), { code: 'CALL_TOO_LARGE' });
});

test('what is not zstd, what is cut, and what wants much memory to unfold is refused', async () => {
  const broken = { code: 'CONTRACT_BROKEN' };
  await assert.rejects(unpack({ encoding: 'zstd', body: randomBytes(1000) }, 1_000_000), broken);
  const { body } = await pack(repeated, true);
  await assert.rejects(unpack({ encoding: 'zstd', body: body.subarray(0, body.byteLength - 5) }, 1_000_000), broken);
  const params = { [constants.ZSTD_c_windowLog]: 26, [constants.ZSTD_c_contentSizeFlag]: 0 };
  const wide = zstdCompressSync(randomBytes(70_000_000), { params });
  await assert.rejects(unpack({ encoding: 'zstd', body: wide }, 100_000_000), broken);
});
