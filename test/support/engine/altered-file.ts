import type { DiskFile } from '../../../src/core/disk.ts';

/** A file that does some things otherwise. */
export const alteredFile = (file: DiskFile, otherwise: Partial<DiskFile>): DiskFile => ({
  read: (into, position) => file.read(into, position),
  write: (pieces, position) => file.write(pieces, position),
  sync: () => file.sync(),
  truncate: (length) => file.truncate(length),
  length: () => file.length(),
  close: () => file.close(),
  ...otherwise,
});
