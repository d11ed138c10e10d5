import { constants, DatabaseSync } from 'node:sqlite';
import type { SqlPiece } from '../sql-text.ts';
import { classify, type StatementTraits } from '../streams/classify.ts';
import { judgeAction } from './authorizer.ts';
import { type CountedStatement, closeStatement, counter } from './counted-statement.ts';
import {
  columnsOf,
  leavesRest,
  manyStatements,
  newPrepared,
  onlyStatement,
  type Prepared,
  type PreparedText,
  preparedText,
  RENAMED,
  type StatementFacts,
} from './prepared.ts';
import type { WireMemory } from './protocol.ts';
import { failureOf, type Phase, StatementFailure } from './sqlite-error.ts';

export type ConnectionOptions = {
  readonly path: string;
  /** How much of the database it may hold in memory. */
  readonly cacheKiB: number;
  readonly statementsMax: number;
  /** It is everybody's for reading: what would change it is stopped while it is compiled, and `NEEDS_OWN` thrown. */
  readonly isForAll: boolean;
};

/** How long SQLite waits for locks itself. Writers queue before, so that only recovery and closing are in the way. */
const BUSY_TIMEOUT_MS = 5_000;

/** A WAL that a large transaction has made longer is cut back to this when it begins anew: the room is others' again. */
const WAL_FILE_BYTES_MAX = 64 << 20;

/** Statements of these are kept prepared; others are rare, or act when they are prepared, as pragmas do. */
const KEPT_VERBS = new Set([
  ...['select', 'values', 'insert', 'replace', 'update', 'delete', 'begin', 'commit', 'end', 'rollback'],
  ...['savepoint', 'release'],
]);

/** Code of the failure that says: carry it out on a connection of the stream's own. Clients never see it. */
export const NEEDS_OWN = 'NEEDS_OWN';

export const NO_MEMORY: WireMemory = [0n, 0n, 0n];

const denied = (why: string): string => `SQLite error: not authorized: ${why}`;

export const isInsert = ({ verb }: StatementTraits): boolean => verb === 'insert' || verb === 'replace';

const CHANGING = new Set(['insert', 'replace', 'update', 'delete']);

/** It sets `changes()`; others leave it as it is. */
export const isChange = ({ verb }: StatementTraits): boolean => CHANGING.has(verb);

/** A connection of SQLite with its prepared statements, and what it must know to be lent from stream to stream. */
export class Connection {
  readonly database: DatabaseSync;
  readonly #options: ConnectionOptions;
  readonly #statements = new Map<string, Prepared>();
  readonly #memoryStatement: CountedStatement;
  #setRowid: CountedStatement | null = null;
  #tableKind: CountedStatement | null = null;
  #facts: StatementFacts = { writes: false, temp: false, state: false };
  #refusal: StatementFailure | null = null;
  #isVacuum = false;
  /** A statement of the connection's own is compiled: nothing is refused, nothing is learnt from it. */
  #isTrusted = false;
  #insertTarget: string | null = null;
  #isQueryOnly = false;
  /** What SQLite remembers of the last change on this connection. */
  #own: WireMemory = NO_MEMORY;
  /** What the stream that uses it remembers. */
  memory: WireMemory = NO_MEMORY;
  /** It carries what only one stream may see: temporary objects, settings. */
  isDirty = false;
  #isReadonlyStream = false;
  #isReadonlyTransaction = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.database = new DatabaseSync(options.path, {
      timeout: BUSY_TIMEOUT_MS,
      enableDoubleQuotedStringLiterals: true,
      limits: { attach: 1 },
    });
    this.database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = ${WAL_FILE_BYTES_MAX}; PRAGMA cache_size = -${options.cacheKiB}; SELECT count(*) FROM sqlite_schema`);
    this.#defineMemory();
    this.#memoryStatement = this.#compile('SELECT last_insert_rowid(), changes(), total_changes()');
    this.database.setAuthorizer((code, first, second, schema) => this.#authorize(code, first, second, schema));
  }

  #defineMemory(): void {
    const options = { useBigIntArguments: true, directOnly: true };
    const names = ['last_insert_rowid', 'changes', 'total_changes'];
    names.forEach((name, index) => {
      this.database.function(`${RENAMED}${name}`, options, () => this.memory[index] ?? 0n);
    });
  }

  #compile(sql: string): CountedStatement {
    const statement = this.database.prepare(sql);
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    statement.setAllowBareNamedParameters(false);
    return statement;
  }

  #authorize(code: number, first: string | null, second: string | null, schema: string | null): number {
    if (this.#isTrusted) return constants.SQLITE_OK;
    if (code === constants.SQLITE_INSERT) this.#insertTarget ??= first;
    const verdict = judgeAction({ code, first, second, schema }, this.#isVacuum);
    if (verdict.kind === 'none') return constants.SQLITE_OK;
    if (verdict.kind === 'refused') return this.#deny(new StatementFailure('SQLITE_AUTH', denied(verdict.why)));
    if (verdict.kind === 'write') this.#facts.writes = true;
    else if (this.#options.isForAll) return this.#deny(new StatementFailure(NEEDS_OWN, ''));
    else if (verdict.kind === 'temp') this.#facts.temp = true;
    else this.#facts.state = true;
    if (verdict.kind === 'both') this.#facts.writes = true;
    return constants.SQLITE_OK;
  }

  #deny(refusal: StatementFailure): number {
    this.#refusal = refusal;
    return constants.SQLITE_DENY;
  }

  get isTransaction(): boolean {
    return this.database.isTransaction;
  }

  /** Its stream may not write, in whatever transaction. */
  set isReadonlyStream(isReadonly: boolean) {
    this.#isReadonlyStream = isReadonly;
    this.#updateQueryOnly();
  }

  /** `BEGIN TRANSACTION READONLY` is open. */
  get isReadonlyTransaction(): boolean {
    return this.#isReadonlyTransaction;
  }

  set isReadonlyTransaction(isReadonly: boolean) {
    this.#isReadonlyTransaction = isReadonly;
    this.#updateQueryOnly();
  }

  /** Setting it makes SQLite compile all statements anew, so that it is done when it must be. */
  #updateQueryOnly(): void {
    const isQueryOnly = this.#isReadonlyStream || this.#isReadonlyTransaction;
    if (isQueryOnly === this.#isQueryOnly) return;
    this.#unchecked(`PRAGMA query_only = ${isQueryOnly ? 1 : 0}`);
    this.#isQueryOnly = isQueryOnly;
  }

  #unchecked(sql: string): void {
    this.#isTrusted = true;
    this.database.exec(sql);
    this.#isTrusted = false;
  }

  /** The statement of a text, from the cache or made now. */
  prepare(sql: string): Prepared {
    const kept = this.#statements.get(sql);
    if (kept === undefined) return this.#prepareAnew(sql);
    kept.isUsed = true;
    return kept;
  }

  #prepareAnew(sql: string): Prepared {
    const prepared = this.#preparePiece(onlyStatement(sql));
    if (KEPT_VERBS.has(prepared.traits.verb)) this.#keep(sql, prepared);
    return prepared;
  }

  #preparePiece(piece: SqlPiece): Prepared {
    const traits = classify(piece);
    const text = preparedText(piece, traits);
    const isVacuum = traits.verb === 'vacuum' && !traits.isExplain;
    const facts = { writes: isVacuum, temp: false, state: false };
    this.#expect(facts, isVacuum);
    try {
      const statement = this.#compile(text.sql);
      if (leavesRest(text, statement.sourceSQL)) throw manyStatements();
      if (traits.isExplain) facts.writes = facts.temp = false;
      const needsRowid = text.needsRowid || (isInsert(traits) && !this.#hasRowids());
      return newPrepared(statement, { ...text, needsRowid }, traits, facts);
    } catch (thrown) {
      throw this.failure(thrown, 'prepare', text);
    }
  }

  #expect(facts: StatementFacts, isVacuum: boolean): void {
    this.#facts = facts;
    this.#isVacuum = isVacuum;
    this.#refusal = null;
    this.#insertTarget = null;
  }

  /** Every row that is inserted into the statement's table becomes the last one: true of ordinary tables alone. */
  #hasRowids(): boolean {
    const target = this.#insertTarget;
    this.#isTrusted = true;
    this.#tableKind ??= this.#compile("SELECT count(*) FROM pragma_table_list(?) WHERE type = 'table' AND NOT wr");
    const [count] = this.#tableKind.get(target) as unknown as readonly [bigint];
    this.#isTrusted = false;
    return count > 0n;
  }

  /** Who has been used since it was looked at last gets a second chance. */
  #keep(sql: string, prepared: Prepared): void {
    this.#statements.set(sql, prepared);
    if (this.#statements.size <= this.#options.statementsMax) return;
    for (const [text, oldest] of this.#statements) {
      this.#statements.delete(text);
      if (!oldest.isUsed) {
        closeStatement(oldest.statement);
        return;
      }
      oldest.isUsed = false;
      this.#statements.set(text, oldest);
    }
  }

  /** Right before a statement is run. */
  enter(prepared: Prepared): void {
    this.#expect(prepared.facts, prepared.traits.verb === 'vacuum');
    if (prepared.text.needsRowid && this.#own[0] !== this.memory[0]) this.#rememberRowid(this.memory[0]);
  }

  /** SQLite takes the rowid of an explicit insert for the last one; the row replaces the one before. */
  #rememberRowid(rowid: bigint): void {
    this.#isTrusted = true;
    this.database.exec('CREATE TEMP TABLE IF NOT EXISTS speil_rowid(id INTEGER PRIMARY KEY, one INT UNIQUE)');
    this.#setRowid ??= this.#compile('REPLACE INTO temp.speil_rowid VALUES (?, 1)');
    this.#setRowid.run(rowid);
    this.#own = this.#readMemory();
    this.#isTrusted = false;
  }

  #readMemory(): WireMemory {
    return this.#memoryStatement.get() as unknown as WireMemory;
  }

  /** Right after a statement that writes: what it changed. The stream remembers it from now on. */
  leaveWrite(prepared: Prepared): { readonly changes: bigint; readonly rowid: bigint; readonly written: bigint } {
    const before = this.#own;
    const after = this.#readMemory();
    this.#own = after;
    const written = after[2] - before[2];
    const isNew = after[0] !== before[0] || (isInsert(prepared.traits) && after[1] > 0n && !prepared.text.needsRowid);
    const rowid = isNew ? after[0] : this.memory[0];
    const changes = isChange(prepared.traits) ? after[1] : this.memory[1];
    this.memory = [rowid, changes, this.memory[2] + written];
    return { changes, rowid, written };
  }

  /** Right after a statement was run: its columns, and how many rows it looked at without an index. */
  leave(prepared: Prepared): number {
    const { statement } = prepared;
    const reprepares = counter(statement, 'reprepare');
    if (reprepares === null || reprepares !== prepared.reprepares) {
      prepared.reprepares = reprepares;
      prepared.columns = columnsOf(statement, prepared.text.isRenamed);
    }
    const before = prepared.fullscanSteps;
    prepared.fullscanSteps = counter(statement, 'fullscanStep') ?? 0;
    if (prepared.facts.temp || prepared.facts.state) this.isDirty = true;
    return prepared.fullscanSteps - before;
  }

  /** What a client is told of an error; of a refusal the reason. */
  failure(thrown: unknown, phase: Phase, text: PreparedText): StatementFailure {
    if (this.#refusal !== null) return this.#refusal;
    const failure = failureOf(thrown, phase);
    return text.isRenamed ? new StatementFailure(failure.code, failure.message.replaceAll(RENAMED, '')) : failure;
  }

  /** Ends what is open. Whatever was not committed is gone. */
  rollback(): void {
    if (this.isTransaction) this.database.exec('ROLLBACK');
    if (this.#isReadonlyTransaction) this.isReadonlyTransaction = false;
  }

  close(): void {
    this.#statements.clear();
    this.database.close();
  }
}
