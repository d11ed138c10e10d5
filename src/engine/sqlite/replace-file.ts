import { join } from 'node:path';
import type { Disk } from '../../core/disk.ts';

/** Puts `bytes` in the place of a file in one go: after a crash at any moment it is the old or the new one, and whole. */
export async function replaceFile(disk: Disk, folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const path = join(folder, name);
  const aside = `${path}.new`;
  await disk.remove(aside);
  const file = await disk.open(aside, 'create');
  try {
    await file.write([bytes], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(aside, path);
  await disk.syncFolder(folder);
}
