/** Bytes of rows in a batch, unless the task's `BatchSize` says otherwise (SuperOffice's default). */
export const BATCH_BYTES_DEFAULT = 1_000_000;
/** Below this a batch holds little but its own overhead. */
export const BATCH_BYTES_MIN = 1_000;
/** Above this the memory of a task is no longer small beside a row. */
export const BATCH_BYTES_MAX = 64_000_000;
/** Batches that wait between the source's reader and the mirror's writer: one is written, this many are ready. */
export const BATCHES_AHEAD_MAX = 2;
/** How long a lock on a table of the source or the mirror is waited for before that table is left for the next cycle. */
export const LOCK_WAIT_MS = 5_000;
/** How long a connection attempt may take. */
export const CONNECT_WAIT_MS = 10_000;
/** How long change tracking keeps changes, as SQL Server does. */
export const RETENTION_MS = 7 * 24 * 3600 * 1000;
/** A bookmark is left in the source at most this often while cycles follow each other closely. */
export const BOOKMARK_INTERVAL_MS = 15_000;
/** The least and most bytes of a call that a mirror client may be told to take: the schemas of a thousand tables, and a buffer of the platform. */
export const CALL_BYTES_MIN = 1_000_000;
export const CALL_BYTES_MAX = 2_000_000_000;
/** A hook that takes longer is reported. */
export const HOOK_SLOW_MS = 5_000;
