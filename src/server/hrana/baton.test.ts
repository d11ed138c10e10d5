import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { readBaton, writeBaton } from './baton.ts';

const secret = randomBytes(32);

test('a baton says which stream it is for, to its holder alone', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.nat(), fc.string(), fc.string(), (streamId, turn, holder, other) => {
      const baton = writeBaton(secret, holder, { streamId, turn });
      assert.deepEqual(readBaton(secret, holder, baton), { streamId, turn });
      assert.equal(readBaton(randomBytes(32), holder, baton), null);
      if (other !== holder) assert.equal(readBaton(secret, other, baton), null);
    }),
  );
});

test('a baton in which anything was changed is none', () => {
  const baton = writeBaton(secret, 'ann', { streamId: randomUUID(), turn: 10 });
  fc.assert(
    fc.property(fc.nat(baton.length - 1), fc.string({ minLength: 1, maxLength: 2 }), (at, by) => {
      const changed = baton.slice(0, at) + by + baton.slice(at + 1);
      assert.equal(changed !== baton && readBaton(secret, 'ann', changed) !== null, false, changed);
    }),
  );
});

test('stream and turn do not run together with the holder', () => {
  const streamId = randomUUID();
  const baton = writeBaton(secret, '2\0ann', { streamId, turn: 1 });
  assert.equal(readBaton(secret, 'ann', baton.replace('.1.', '.12.')), null);
});
