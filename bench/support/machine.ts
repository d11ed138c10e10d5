import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { median } from './statistics.ts';

/** What a figure was measured on. */
export type Machine = {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGB: number;
  readonly kernel: string;
  readonly node: string;
  readonly sqlite: string;
  readonly postgres: string;
  /** Median of {@link FLUSHES} appends of 4 kB, each followed by fdatasync, on the disk of the databases. */
  readonly flushMs: number;
};

const FLUSHES = 200;

export const describeMachine = (postgres: string): Machine => ({
  cores: cpus().length,
  processor: cpus()[0]?.model ?? 'unknown',
  memoryGB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.versions.node,
  sqlite: process.versions['sqlite'] ?? 'unknown',
  postgres,
  flushMs: measureFlush(),
});

function measureFlush(): number {
  const directory = mkdtempSync(join(tmpdir(), 'speil-bench-flush-'));
  const file = openSync(join(directory, 'file'), 'a');
  const block = Buffer.alloc(4096, 1);
  const times = Array.from({ length: FLUSHES }, () => {
    const startedMs = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    return performance.now() - startedMs;
  });
  closeSync(file);
  rmSync(directory, { recursive: true });
  return Number(median(times).toFixed(3));
}
