/**
 * Where a database's WAL ended at some moment, as its index said: the salts name the WAL's present run (they change when it
 * begins again at its start), `frames` counts up to the last commit. Equal positions: nothing was committed in between.
 */
export type WalPosition = { readonly salt1: number; readonly salt2: number; readonly frames: number };

/** What streams need of the database's engine. */
export interface CommitGate {
  /** Throws `DISK_FULL` or `DATABASE_STOPPED` when writes cannot be taken now. Called before a write is begun. */
  admitWrite(): void;
  /** Where the WAL ends now. */
  position(): WalPosition;
  /** True when everything up to the position is hardened: nothing to wait for. */
  isSettled(position: WalPosition): boolean;
  /**
   * Resolves when all that a reader could have seen at `position` is hardened. Rejects with `DATABASE_STOPPED`, or with
   * `DISK_FULL` when what was seen was undone.
   */
  settle(position: WalPosition): Promise<void>;
}

export const samePosition = (a: WalPosition, b: WalPosition): boolean =>
  a.frames === b.frames && a.salt1 === b.salt1 && a.salt2 === b.salt2;
