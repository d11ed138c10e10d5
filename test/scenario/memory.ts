import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Mirroring } from '../conformance/mirroring.ts';

const CHILD = fileURLToPath(new URL('./memory-child.ts', import.meta.url));
const LIMIT_MEGABYTES = 200;

/** Memory is bounded by the batch size, whatever the size of the source. Guarantee T8. */
export async function cycleInLittleMemory({ source, mirror }: Mirroring): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, source.address, mirror.address]);
  const { status, peakMegabytes } = JSON.parse(stdout);
  assert.equal(status, 'completed');
  assert.ok(peakMegabytes < LIMIT_MEGABYTES, `${peakMegabytes} MB`);
}
