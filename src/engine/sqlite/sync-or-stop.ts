import type { DiskFile } from '../../core/disk.ts';
import { SpeilError } from '../../core/error.ts';

/**
 * Makes a database file durable. Rejects with `DATABASE_STOPPED`, whatever the reason, even a full disk: what the file holds is
 * not known any more then.
 */
export async function syncOrStop(file: DiskFile): Promise<void> {
  try {
    await file.sync();
  } catch (cause) {
    throw new SpeilError('DATABASE_STOPPED', `The database file could not be made durable: ${String(cause)}.`, {
      cause,
    });
  }
}
