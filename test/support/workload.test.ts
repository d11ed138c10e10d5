import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { crc32c } from './crc32c.ts';
import { eventually, SeededRandom, withDirectory } from './workload.ts';

test('the same seed gives the same sequence, another seed another', () => {
  const draw = (seed: number) => {
    const random = new SeededRandom(seed);
    return [
      random.unit(),
      random.integer(1, 6),
      random.text(20),
      random.uuid(),
      random.shuffle([1, 2, 3, 4, 5, 6, 7, 8]),
    ];
  };
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
});

test('numbers stay in range and reach both ends', () => {
  const random = new SeededRandom(7);
  const drawn = Array.from({ length: 2_000 }, () => random.integer(-2, 3));
  assert.deepEqual(
    [...new Set(drawn)].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  );
  const mean = Array.from({ length: 2_000 }, () => random.unit()).reduce((sum, value) => sum + value, 0) / 2_000;
  assert.ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
  assert.match(random.uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.throws(() => random.pick([]), /nothing to pick/);
});

test('a directory goes with what is in it', () => {
  let path = '';
  {
    using directory = withDirectory();
    path = directory.path;
    writeFileSync(directory.file('a'), 'x');
    assert.equal(existsSync(directory.file('a')), true);
  }
  assert.equal(existsSync(path), false);
});

test('eventually waits for the answer and gives up with the last error', async () => {
  let calls = 0;
  const third = () => {
    if (++calls < 3) throw new Error(`call ${calls}`);
    return calls;
  };
  assert.equal(await eventually(third), 3);
  await assert.rejects(
    eventually(() => assert.equal(1, 2, 'never'), { withinMs: 30 }),
    /never/,
  );
});

test('CRC-32C has its published check value', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});
