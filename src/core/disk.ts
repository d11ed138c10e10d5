/**
 * Files as the journal and recovery use them: what is written may be lost or torn by a crash until it was synced, and a
 * name that was made, moved or removed may be so until its folder was. `runtime/` has the real one; the simulator has one
 * that crashes. All paths are absolute or relative to one place. Every method rejects with the error of the operating
 * system, whose `code` (`ENOSPC`, `EIO`, `ENOENT`, `EROFS` …) the callers judge.
 */
export interface Disk {
  /** `create` fails with `EEXIST` when the file is there; `write` and `read` with `ENOENT` when it is not. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile>;
  /** Names in a folder, sorted. */
  list(folder: string): Promise<readonly string[]>;
  /** Makes the folder and those above it; does nothing when it is there. */
  makeFolder(path: string): Promise<void>;
  /** Atomic: whoever looks sees the old or the new file. */
  rename(from: string, to: string): Promise<void>;
  /** Does nothing when there is no such file. */
  remove(path: string): Promise<void>;
  /** Makes durable which names the folder holds. */
  syncFolder(path: string): Promise<void>;
}

export interface DiskFile {
  /** Fills `into` from `position` on; answers how many bytes there were, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all the pieces, one after another, from `position` on. Not durable before `sync`. */
  write(pieces: readonly Uint8Array[], position: number): Promise<void>;
  /**
   * Makes durable all that was written, and the file's length (`fdatasync`). After a failure nothing is known of what was
   * written, and a later success says nothing of it: whoever sees it fail never tries again.
   */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  length(): Promise<number>;
  close(): Promise<void>;
}
