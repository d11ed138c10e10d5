/**
 * What the server does with a pragma. `read`: it only tells. `write`: it changes the database. `state`: it changes the
 * connection, which becomes the stream's own. `both`: it does the one and the other. `refused`: the reason, for people.
 */
export type PragmaVerdict =
  | { readonly kind: 'read' | 'write' | 'state' | 'both' }
  | { readonly kind: 'refused'; readonly why: string };

/** Only tell, with or without an argument. */
const TELLING = new Set([
  ...['table_info', 'table_xinfo', 'table_list', 'index_list', 'index_info', 'index_xinfo', 'foreign_key_list'],
  ...['foreign_key_check', 'integrity_check', 'quick_check', 'database_list', 'collation_list', 'function_list'],
  ...['module_list', 'pragma_list', 'compile_options', 'data_version', 'freelist_count', 'page_count', 'stats'],
]);

/** Tell without an argument; with one they are refused for the reason. */
const FIXED: Readonly<Record<string, string>> = {
  journal_mode: 'the journal of the server needs WAL mode, which is on',
  wal_autocheckpoint: 'the server makes the checkpoints itself',
  synchronous: 'every commit is hardened by the journal of the server, whatever is set here',
  locking_mode: 'other streams use the database too',
  page_size: 'it is chosen when the database is made',
  encoding: 'it is chosen when the database is made',
  schema_version: 'SQLite keeps it itself',
  mmap_size: 'memory-mapped files are not safe with several processes',
  journal_size_limit: 'the server bounds the WAL itself',
  max_page_count: 'the server bounds databases itself',
  secure_delete: 'it is set for the whole server',
  temp_store: 'it is set for the whole server',
  query_only: 'open the transaction with BEGIN TRANSACTION READONLY instead',
  read_uncommitted: 'connections share no cache',
  threads: 'it is set for the whole server',
  cell_size_check: 'it is set for the whole server',
  cache_spill: 'it is set for the whole server',
  hard_heap_limit: 'it is set for the whole server',
  soft_heap_limit: 'it is set for the whole server',
  trusted_schema: 'it is set for the whole server',
};

/** Tell without an argument; with one they change the database. */
const STORED = new Set(['user_version', 'application_id']);

const CHANGING = new Set(['incremental_vacuum', 'optimize']);

/** Tell without an argument; with one they change the connection. */
const CONNECTION = new Set([
  ...['foreign_keys', 'defer_foreign_keys', 'recursive_triggers', 'cache_size', 'automatic_index', 'analysis_limit'],
  ...['reverse_unordered_selects', 'ignore_check_constraints', 'legacy_alter_table', 'busy_timeout'],
  ...['full_column_names', 'short_column_names', 'count_changes', 'empty_result_callbacks'],
]);

/** Tell without an argument; with one they change the connection, for the next VACUUM, and some databases at once. */
const BOTH = new Set(['auto_vacuum']);

/** Change the connection in whatever form. */
const ALWAYS_STATE = new Set(['case_sensitive_like', 'shrink_memory']);

const REFUSED: Readonly<Record<string, string>> = {
  wal_checkpoint: 'the server makes the checkpoints itself, over hardened commits only',
  writable_schema: 'a schema that is written by hand can make the database unreadable; use ALTER TABLE',
};

/** The largest cache of a stream's own connection: 64 MiB, since a thousand streams share the machine. */
const CACHE_KIB_MAX = 65_536;
const CACHE_PAGES_MAX = 16_384;

/** The longest that SQLite itself may wait for a lock; streams queue for the write lock before. */
const BUSY_TIMEOUT_MS_MAX = 30_000;

const read = { kind: 'read' } as const;
const write = { kind: 'write' } as const;
const state = { kind: 'state' } as const;
const both = { kind: 'both' } as const;
const refused = (name: string, why: string): PragmaVerdict => ({
  kind: 'refused',
  why: `PRAGMA ${name} is refused: ${why}`,
});

/** `argument` as it stands after `=` or between parentheses; null when there is none. */
export function judgePragma(spelling: string, argument: string | null): PragmaVerdict {
  const name = spelling.toLowerCase();
  if (TELLING.has(name)) return read;
  if (CHANGING.has(name)) return write;
  if (ALWAYS_STATE.has(name)) return state;
  const fixed = FIXED[name];
  if (fixed !== undefined) return isHarmless(name, argument) ? read : refused(name, fixed);
  if (STORED.has(name)) return argument === null ? read : write;
  if (BOTH.has(name)) return argument === null ? read : both;
  if (CONNECTION.has(name)) return argument === null ? read : judgeSetting(name, argument);
  return refused(name, REFUSED[name] ?? 'the server does not know that it is harmless');
}

const isHarmless = (name: string, argument: string | null): boolean =>
  argument === null || (name === 'journal_mode' && argument.toLowerCase() === 'wal');

/** Every connection has them on: applications say so out of habit. */
const ON = new Set(['on', '1', 'yes', 'true']);

function judgeSetting(name: string, argument: string): PragmaVerdict {
  if (name === 'foreign_keys' && ON.has(argument.toLowerCase())) return read;
  const value = Number(argument);
  if (name === 'cache_size' && !(value >= -CACHE_KIB_MAX && value <= CACHE_PAGES_MAX)) {
    return refused(name, `at most ${CACHE_PAGES_MAX} pages or ${CACHE_KIB_MAX} KiB (a negative number) are given`);
  }
  if (name === 'busy_timeout' && !(value <= BUSY_TIMEOUT_MS_MAX)) {
    return refused(name, `at most ${BUSY_TIMEOUT_MS_MAX} ms are given`);
  }
  return state;
}
