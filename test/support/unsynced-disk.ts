import { appendFileSync, copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Disk, DiskFile } from '../../src/core/disk.ts';

/**
 * A disk that notes what a power cut would take away. A process that is killed leaves its writes in the page cache; this
 * keeps of each write what was there before it, until the file was synced, so that {@link cutPower} can take any part of
 * the unsynced writes back afterwards, as a machine that loses power does. Names (created, renamed, removed) count as durable
 * here; the simulated disk loses those too.
 */
export function unsyncedDisk(disk: Disk, logPath: string): Disk {
  let count = 0;
  const note = (record: LogRecord) => appendFileSync(logPath, `${JSON.stringify(record)}\n`);
  const wrap = (path: string, file: DiskFile): DiskFile => ({
    read: (into, position) => file.read(into, position),
    length: () => file.length(),
    close: () => file.close(),
    write: async (pieces, position) => {
      const after = Buffer.concat(pieces);
      const before = Buffer.alloc(after.length);
      const known = await file.read(before, position);
      count += 1;
      note({ op: 'write', n: count, path, position, before: base64(before.subarray(0, known)), after: base64(after) });
      await file.write([after], position);
    },
    truncate: async (length) => {
      await file.truncate(length);
      await file.sync();
      note({ op: 'synced', path, upTo: count });
    },
    sync: async () => {
      const upTo = count;
      if (isDatabase(path)) copyFileSync(path, `${path}.syncing`);
      await file.sync();
      if (isDatabase(path)) renameSync(`${path}.syncing`, `${path}.synced`);
      note({ op: 'synced', path, upTo });
    },
  });
  return {
    ...disk,
    list: (folder) => disk.list(folder),
    makeFolder: (path) => disk.makeFolder(path),
    remove: (path) => disk.remove(path),
    syncFolder: (path) => disk.syncFolder(path),
    rename: async (from, to) => {
      await disk.rename(from, to);
      note({ op: 'renamed', from, to });
    },
    open: async (path, mode) => wrap(path, await disk.open(path, mode)),
  };
}

type Write = {
  readonly op: 'write';
  readonly n: number;
  readonly path: string;
  readonly position: number;
  readonly before: string;
  readonly after: string;
};
type LogRecord =
  | Write
  | { readonly op: 'synced'; readonly path: string; readonly upTo: number }
  | { readonly op: 'renamed'; readonly from: string; readonly to: string };

/** SQLite writes this one itself, past the disk. */
const isDatabase = (path: string): boolean => path.endsWith('.db');

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const SECTOR_BYTES = 512;

export type PowerCut = { readonly writes: number; readonly sectorsLost: number };

/** Takes back a random part of what was not synced when the process ended. `unit` is chance, in [0, 1). */
export function cutPower(logPath: string, databases: readonly string[], unit: () => number): PowerCut {
  const unsynced = unsyncedWrites(readLog(logPath));
  let sectorsLost = 0;
  for (const [path, writes] of Map.groupBy(unsynced, ({ path }) => path)) {
    if (existsSync(path) && !isDatabase(path)) sectorsLost += takeBack(path, writes, unit);
  }
  for (const path of databases) sectorsLost += mixDatabase(path, unit);
  return { writes: unsynced.length, sectorsLost };
}

function readLog(logPath: string): readonly LogRecord[] {
  if (!existsSync(logPath)) return [];
  const lines = readFileSync(logPath, 'utf8').split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line) as LogRecord);
}

function unsyncedWrites(log: readonly LogRecord[]): readonly Write[] {
  let writes: Write[] = [];
  for (const record of log) {
    if (record.op === 'write') writes.push(record);
    else if (record.op === 'synced') writes = writes.filter(({ path, n }) => path !== record.path || n > record.upTo);
    else writes = writes.map((write) => (write.path === record.from ? { ...write, path: record.to } : write));
  }
  return writes;
}

function takeBack(path: string, writes: readonly Write[], unit: () => number): number {
  const bytes = readFileSync(path);
  for (const { position, before, after } of writes.toReversed()) {
    bytes.fill(0, position, position + Buffer.from(after, 'base64').length);
    Buffer.from(before, 'base64').copy(bytes, position);
  }
  let lost = 0;
  for (const { position, after } of writes) lost += writeSome(bytes, Buffer.from(after, 'base64'), position, unit);
  writeFileSync(path, bytes);
  return lost;
}

/** Mostly whole writes are kept or lost; now and then single sectors of one. */
function writeSome(into: Buffer, after: Buffer, position: number, unit: () => number): number {
  const share = [0, 0, 1, unit()][Math.floor(unit() * 4)] ?? 0;
  let lost = 0;
  for (let at = position; at < position + after.length; ) {
    const end = Math.min(position + after.length, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES);
    if (unit() < share) after.copy(into, at, at - position, end - position);
    else lost += 1;
    at = end;
  }
  return lost;
}

/** Each sector as it was when the file was last synced, or as it is now. */
function mixDatabase(path: string, unit: () => number): number {
  if (!existsSync(`${path}.synced`)) return 0;
  const [synced, now] = [readFileSync(`${path}.synced`), readFileSync(path)];
  const mixed = Buffer.alloc(unit() < 0.5 ? now.length : Math.max(synced.length, now.length));
  const share = unit();
  let lost = 0;
  for (let at = 0; at < mixed.length; at += SECTOR_BYTES) {
    const from = unit() < share ? synced : now;
    if (from === synced) lost += 1;
    from.copy(mixed, at, at, at + SECTOR_BYTES);
  }
  writeFileSync(path, mixed);
  return lost;
}
