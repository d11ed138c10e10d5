import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { alteredFile } from '../../../test/support/engine/altered-file.ts';
import { noise } from '../../../test/support/engine/random-sql.ts';
import { systemDisk } from '../../runtime/system-disk.ts';
import { allocatePageBuffer } from './page-buffer.ts';
import { PageChangesWriter } from './page-changes.ts';
import { RedoFile, type RedoOptions } from './redo.ts';

const PAGE = 512;

/** Pages that become full of one byte; with `at`, only there. */
type Fill = { readonly page: number; readonly byte: number; readonly at?: number };

function payload(before: number, after: number, fills: readonly Fill[] = [], pageSize = PAGE): Uint8Array {
  const writer = new PageChangesWriter();
  writer.begin({ pageSize, before, after });
  const image = allocatePageBuffer(pageSize);
  for (const { page, byte, at } of fills) {
    image.bytes.fill(byte);
    writer.add(page, image, 0, Uint32Array.of(at ?? 0, at === undefined ? pageSize : at + 1), 1);
  }
  return writer.finish();
}

const filled = (...bytes: readonly number[]): Buffer => Buffer.concat(bytes.map((byte) => Buffer.alloc(PAGE, byte)));

type Setting = { readonly redo: RedoFile; readonly calls: string[]; readonly content: () => Buffer };

/** Runs with a file of this content; `calls` are its writes and truncations. */
async function withFile(
  content: Buffer,
  options: RedoOptions,
  run: (setting: Setting) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'speil-redo-'));
  const path = join(folder, 'file');
  writeFileSync(path, content);
  const file = await systemDisk.open(path, 'write');
  const calls: string[] = [];
  const watched = alteredFile(file, {
    write: async (pieces, position) => {
      calls.push(`write ${pieces.length} at ${position / PAGE}`);
      await file.write(pieces, position);
    },
    truncate: async (length) => {
      calls.push(`truncate ${length / PAGE}`);
      await file.truncate(length);
    },
  });
  await run({ redo: new RedoFile(watched, options), calls, content: () => readFileSync(path) });
  await file.close();
  rmSync(folder, { recursive: true });
}

test('a page that changes in a thousand blocks is written once, neighbours together', async () => {
  await withFile(filled(1, 2, 3, 4), {}, async ({ redo, calls, content }) => {
    for (let n = 1; n <= 1000; n++) await redo.apply(payload(4, 4, [{ page: 2, byte: n & 255, at: n % PAGE }]));
    await redo.apply(
      payload(4, 4, [
        { page: 1, byte: 9 },
        { page: 4, byte: 8, at: 5 },
      ]),
    );
    assert.deepEqual(calls, []);
    await redo.flush();
    assert.deepEqual(calls, ['write 2 at 0', 'write 1 at 3']);
    assert.deepEqual(content().subarray(0, PAGE), filled(9));
    assert.equal(content()[3 * PAGE + 5], 8);
    await redo.flush();
    assert.equal(calls.length, 2);
  });
});

test('pages beyond the end were zeros, whatever lies there', async () => {
  const junk = Buffer.concat([filled(1), noise(6 * PAGE, 1)]);
  await withFile(junk, {}, async ({ redo, content }) => {
    await redo.apply(payload(1, 5, [{ page: 3, byte: 7, at: 10 }]));
    await redo.flush();
    const expected = filled(1, 0, 0, 0, 0);
    expected[2 * PAGE + 10] = 7;
    assert.deepEqual(content(), expected);
  });
});

test('pages that were dropped are zeros when they come back, whether they were written in between or not', async () => {
  for (const flushes of [false, true]) {
    await withFile(filled(1, 2, 3), {}, async ({ redo, content }) => {
      await redo.apply(payload(3, 3, [{ page: 3, byte: 9 }]));
      await redo.apply(payload(3, 1));
      if (flushes) await redo.flush();
      await redo.apply(payload(1, 3, [{ page: 2, byte: 5, at: 0 }]));
      await redo.flush();
      assert.deepEqual(content(), Buffer.concat([filled(1), Buffer.from([5]), filled(0, 0).subarray(1)]));
    });
  }
});

test('another page size begins the file anew', async () => {
  await withFile(filled(1, 2, 3), { databaseChecksum: 5n }, async ({ redo, content }) => {
    await redo.apply(payload(3, 3, [{ page: 1, byte: 4 }]));
    await redo.apply(payload(0, 1, [{ page: 1, byte: 6, at: 1000 }], 1024));
    await redo.flush();
    const expected = Buffer.alloc(1024);
    expected[1000] = 6;
    assert.deepEqual(content(), expected);
    await redo.apply(payload(1, 0, [], 1024));
    assert.equal(redo.databaseChecksum, 0n);
  });
});

test('a payload that does not follow, or is damaged, leaves everything as it was', async () => {
  await withFile(filled(1, 2), {}, async ({ redo, content }) => {
    await redo.apply(payload(2, 3, [{ page: 3, byte: 3 }]));
    await assert.rejects(redo.apply(payload(2, 3)), { code: 'PAYLOAD_REFUSED', message: /begins with 2 pages, not 3/ });
    await assert.rejects(redo.apply(payload(3, 3, [{ page: 2, byte: 9 }]).subarray(0, 100)), {
      code: 'PAYLOAD_REFUSED',
    });
    await assert.rejects(redo.apply(payload(3, 1, [], 1024)), { code: 'PAYLOAD_REFUSED', message: /not 0/ });
    await redo.apply(payload(3, 3, [{ page: 1, byte: 4 }]));
    await redo.flush();
    assert.deepEqual(content(), filled(4, 2, 3));
  });
});

test('the cache is bounded: more pages than it has room for are written on the way', async () => {
  const pages = Array.from({ length: 500 }, (_, n) => ({ page: n + 1, byte: (n & 127) + 1 }));
  await withFile(filled(0), { cacheBytes: 0, databaseChecksum: 0n }, async ({ redo, calls, content }) => {
    await redo.apply(payload(1, 500, pages));
    assert.ok(calls.length > 0);
    await redo.apply(payload(500, 500, [{ page: 7, byte: 200, at: 3 }]));
    await redo.flush();
    const expected = filled(...pages.map(({ byte }) => byte));
    expected[6 * PAGE + 3] = 200;
    assert.deepEqual(content(), expected);
  });
});

test('a failure of the disk is final', async () => {
  await withFile(filled(1, 2), {}, async ({ content }) => {
    const broken = alteredFile(await systemDisk.open('/dev/null', 'write'), {
      read: () => Promise.reject(new Error('EIO')),
    });
    const redo = new RedoFile(broken);
    await assert.rejects(redo.apply(payload(2, 2, [{ page: 1, byte: 3, at: 1 }])), /EIO/);
    await assert.rejects(redo.flush(), /EIO/);
    await assert.rejects(redo.apply(payload(2, 2)), /EIO/);
    await broken.close();
    assert.deepEqual(content(), filled(1, 2));
  });
});

test('as a read mirror page 1 has a rollback journal, and each write counts as a change', async () => {
  const first = filled(1);
  first.writeUInt32BE(41, 24);
  await withFile(first, { asReadMirror: true }, async ({ redo, content }) => {
    await redo.apply(payload(1, 2, [{ page: 2, byte: 2 }]));
    await redo.flush();
    await redo.apply(payload(2, 2, [{ page: 1, byte: 77 }]));
    await redo.flush();
    await redo.flush();
    const expected = filled(77, 2);
    expected.fill(1, 18, 20);
    for (const at of [24, 92]) expected.writeUInt32BE(43, at);
    assert.deepEqual(content(), expected);
  });
});

test('the gate is entered before the first write and left after a whole commit', async () => {
  const events: string[] = [];
  const gate = {
    enter: async () => void events.push('enter'),
    leave: async () => void events.push('leave'),
  };
  const pages = Array.from({ length: 300 }, (_, n) => ({ page: n + 1, byte: 1 }));
  await withFile(filled(0), { cacheBytes: 0, gate }, async ({ redo, calls }) => {
    await redo.apply(payload(1, 300, pages.slice(0, 10)), { continued: true });
    assert.deepEqual(events, []);
    await redo.apply(payload(300, 300, pages.slice(10)), { continued: true });
    assert.deepEqual(events, ['enter']);
    const written = calls.length;
    await redo.apply(payload(300, 300, [{ page: 3, byte: 9 }]));
    assert.deepEqual(events, ['enter', 'leave']);
    assert.ok(calls.length > written);
    await redo.flush();
    assert.deepEqual(events, ['enter', 'leave']);
    await redo.apply(payload(300, 300, [{ page: 3, byte: 8 }]));
    await redo.flush();
    assert.deepEqual(events, ['enter', 'leave', 'enter', 'leave']);
  });
});
