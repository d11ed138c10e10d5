import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writevSync } from 'node:fs';
import type { DiskFile } from '../../../src/core/disk.ts';

/** A file of the machine's, read and written at once. */
export function openNodeFile(path: string, flags: 'r' | 'r+' | 'w+' = 'r+'): DiskFile {
  const descriptor = openSync(path, flags);
  return {
    read: async (into, position) => readSync(descriptor, into, 0, into.length, position),
    write: async (pieces, position) => void writevSync(descriptor, pieces, position),
    sync: async () => fdatasyncSync(descriptor),
    truncate: async (length) => ftruncateSync(descriptor, length),
    length: async () => fstatSync(descriptor).size,
    close: async () => closeSync(descriptor),
  };
}
