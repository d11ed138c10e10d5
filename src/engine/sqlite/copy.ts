import { fstatSync, read } from 'node:fs';
import { promisify } from 'node:util';
import type { DiskFile } from '../../core/disk.ts';

export type CopyOptions = {
  readonly signal: AbortSignal;
  /** After each chunk. `totalBytes` is the file's length as it is known by then. */
  readonly onProgress?: (copiedBytes: number, totalBytes: number) => void;
  readonly chunkBytes?: number;
};

/** Long enough to make calls cheap, short enough to be stopped at once and to leave the disk to others in between. */
export const COPY_CHUNK_BYTES = 1 << 20;

const readAt = promisify(read);

/**
 * Copies a database file while it is written to. Only reads through the descriptor that it is given, since to close another one
 * would drop the process's locks on the file. The WAL is not copied, and nobody is held up.
 *
 * The copy is *fuzzy*: each byte is as it was after some commit between two of them,
 *
 * - the *first*: the LSN up to which the last checkpoint that was complete before the copy began had brought the file, and
 * - the *last*: the LSN up to which checkpoints may have written when the copy ended, hardened by then.
 *
 * Redo of the journal's blocks after the first, up to the last or any later one, makes it whole at that LSN. So whoever copies holds
 * the journal from the first on before he begins, and until he has the blocks.
 *
 * What the target held before is gone. It is not synced. Answers how many bytes were copied.
 */
export async function copyDatabaseFile(
  source: number,
  target: DiskFile,
  { signal, onProgress, chunkBytes = COPY_CHUNK_BYTES }: CopyOptions,
): Promise<number> {
  await target.truncate(0);
  let writing: Promise<void> = Promise.resolve();
  let copied = 0;
  let [chunk, other] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
  for (;;) {
    signal.throwIfAborted();
    const [{ bytesRead }] = await Promise.all([readAt(source, chunk, 0, chunkBytes, copied), writing]);
    if (bytesRead === 0) return copied;
    writing = target.write([chunk.subarray(0, bytesRead)], copied);
    copied += bytesRead;
    onProgress?.(copied, Math.max(copied, fstatSync(source).size));
    [chunk, other] = [other, chunk];
  }
}
