import type { Clock } from '../../core/clock.ts';
import type { SqlValue } from '../sql.ts';
import type { StatementTraits } from '../streams/classify.ts';
import { type Arguments, bindArguments } from './bind.ts';
import { type Connection, isChange, isInsert, NEEDS_OWN } from './connection.ts';
import { FAST_MS, type Prepared } from './prepared.ts';
import {
  AnswerKind,
  Condition,
  Grant,
  Outcome,
  type WireCondition,
  type WireOutcome,
  type WireStep,
} from './protocol.ts';
import { StatementFailure } from './sqlite-error.ts';

/** The executor around a program. */
export type RunContext = {
  readonly clock: Clock;
  /** Its shared connection is for reading; whoever needs more gets one of its own. */
  readonly isPool: boolean;
  /** Called before a statement that is not known to be fast. */
  beforeSlow(): void;
};

/** Why a program could not go on where it is. */
export type Stop = typeof AnswerKind.needsWrite | typeof AnswerKind.needsOwn;

/** Where a program is carried out, and what it may do there. */
export type Place = { readonly connection: Connection; readonly isShared: boolean; readonly grants: number };

/** All rows of a program are held in memory, here and in the server, until they are sent; a cursor has no such bound. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

const SKIPPED: WireOutcome = [Outcome.skipped];

/** Carries out steps until the last, the first error of a sequence, or one that cannot be carried out here. */
export function runProgram(
  place: Place,
  steps: readonly WireStep[],
  outcomes: WireOutcome[],
  context: RunContext,
): Stop | null {
  const isSequence = (place.grants & Grant.sequence) !== 0;
  const room: Room = { bytes: ANSWER_BYTES_MAX - bytesOf(outcomes) };
  for (const step of steps.slice(outcomes.length)) {
    const outcome = runStep(place, step, outcomes, context, room);
    if (typeof outcome === 'number') return outcome;
    outcomes.push(outcome);
    if (isSequence && outcome[0] === Outcome.error) return null;
  }
  return null;
}

/** What the rows of a program's further steps may have. */
type Room = { bytes: number };

function bytesOf(outcomes: readonly WireOutcome[]): number {
  let bytes = 0;
  for (const outcome of outcomes)
    if (outcome[0] === Outcome.result) for (const row of outcome[2]) bytes += rowBytes(row);
  return bytes;
}

function runStep(
  place: Place,
  step: WireStep,
  outcomes: readonly WireOutcome[],
  context: RunContext,
  room: Room,
): WireOutcome | Stop {
  try {
    if (!holds(step[4], outcomes, place.connection)) return SKIPPED;
    const prepared = place.connection.prepare(step[0]);
    return objectionTo(prepared, place, context) ?? carryOut(place.connection, prepared, step, context, room);
  } catch (thrown) {
    if (!(thrown instanceof StatementFailure)) throw thrown;
    if (thrown.code === NEEDS_OWN) return AnswerKind.needsOwn;
    return thrown.code === 'SQLITE_READONLY' && isSharedForReading(place, context)
      ? AnswerKind.needsWrite
      : thrown.outcome;
  }
}

/** What writes there though it compiled as a read (virtual tables may) is carried out again as a write. */
const isSharedForReading = ({ isShared, grants }: Place, { isPool }: RunContext): boolean =>
  isShared && isPool && !(grants & Grant.readOnly);

/** Whether a step is to be carried out. A condition on a step that there is not does not hold. */
export function holds(
  condition: WireCondition | null,
  outcomes: readonly WireOutcome[],
  connection: Connection,
): boolean {
  if (condition === null) return true;
  switch (condition[0]) {
    case Condition.ok:
      return outcomes[condition[1]]?.[0] === Outcome.result;
    case Condition.error:
      return outcomes[condition[1]]?.[0] === Outcome.error;
    case Condition.not:
      return !holds(condition[1], outcomes, connection);
    case Condition.and:
      return condition[1].every((one) => holds(one, outcomes, connection));
    case Condition.or:
      return condition[1].some((one) => holds(one, outcomes, connection));
    case Condition.isAutocommit:
      return !connection.isTransaction;
  }
}

/** What stands against a statement here; throws when nothing can be done about it. */
export function objectionTo(
  prepared: Prepared,
  { connection, isShared, grants }: Place,
  context: RunContext,
): Stop | null {
  const { facts, traits } = prepared;
  const writes = facts.writes || traits.kind === 'begin-write';
  if (grants & Grant.readOnly && (writes || facts.temp)) throw readOnlyFailure();
  if (isShared && context.isPool && isOpening(traits)) return AnswerKind.needsOwn;
  return writes && !(grants & Grant.write) && !connection.isReadonlyTransaction ? AnswerKind.needsWrite : null;
}

const readOnlyFailure = () =>
  new StatementFailure('SQLITE_READONLY', 'SQLite error: attempt to write, and the token allows reading only');

const isOpening = ({ kind }: StatementTraits): boolean => kind.startsWith('begin') || kind === 'savepoint';

function carryOut(
  connection: Connection,
  prepared: Prepared,
  step: WireStep,
  context: RunContext,
  room: Room,
): WireOutcome {
  const args = bindArguments(prepared, step);
  const startedMs = enter(connection, prepared, context);
  try {
    const collected = collect(prepared, args, step[3], room);
    return resultOf(connection, prepared, collected, context.clock.monotonicMs() - startedMs);
  } catch (thrown) {
    if (prepared.facts.writes || prepared.facts.temp) connection.leaveWrite(prepared);
    connection.leave(prepared);
    throw connection.failure(thrown, 'run', prepared.text);
  } finally {
    prepared.isFast = context.clock.monotonicMs() - startedMs <= FAST_MS;
  }
}

/** Answers when it began. */
export function enter(connection: Connection, prepared: Prepared, context: RunContext): number {
  if (!prepared.isFast) context.beforeSlow();
  if (prepared.traits.kind === 'begin-readonly' && !connection.isTransaction) connection.isReadonlyTransaction = true;
  connection.enter(prepared);
  return context.clock.monotonicMs();
}

type Collected = { readonly rows: readonly (readonly SqlValue[])[]; readonly count: number };

const NO_ROWS: Collected = { rows: [], count: 0 };

function collect({ statement, columns, traits }: Prepared, args: Arguments, wantRows: boolean, room: Room): Collected {
  if (columns[0].length === 0 && traits.verb !== 'pragma') {
    statement.run(...args);
    return NO_ROWS;
  }
  const rows: (readonly SqlValue[])[] = [];
  let [count, bytes] = [0, 0];
  for (const row of statement.iterate(...args) as Iterable<unknown> as Iterable<readonly SqlValue[]>) {
    count++;
    if (!wantRows || row.length === 0) continue;
    rows.push(row);
    bytes += rowBytes(row);
    if (bytes > room.bytes) throw tooLarge();
  }
  room.bytes -= bytes;
  return { rows, count };
}

const tooLarge = () =>
  new StatementFailure(
    'RESPONSE_TOO_LARGE',
    `Response is too large: its rows, with those of earlier steps, have more than ${ANSWER_BYTES_MAX} bytes. What the statement changes was changed. Use a cursor, or LIMIT`,
  );

/** What a value takes in memory besides the text or blob that it is, and a row besides its values. */
const VALUE_BYTES = 32;
const ROW_BYTES = 32;

export function rowBytes(row: readonly SqlValue[]): number {
  let bytes = ROW_BYTES;
  for (const value of row) {
    if (typeof value === 'string') bytes += value.length;
    else if (value instanceof Uint8Array) bytes += value.byteLength;
    bytes += VALUE_BYTES;
  }
  return bytes;
}

function resultOf(
  connection: Connection,
  prepared: Prepared,
  { rows, count }: Collected,
  durationMs: number,
): WireOutcome {
  const { traits, facts } = prepared;
  const change = facts.writes || facts.temp ? connection.leaveWrite(prepared) : null;
  const scanned = connection.leave(prepared);
  const affected = change !== null && isChange(traits) ? change.changes : 0n;
  const rowid = change !== null && isInsert(traits) ? change.rowid : null;
  const written = change === null ? 0 : Number(change.written);
  return [Outcome.result, prepared.columns, rows, affected, rowid, Math.max(scanned, count), written, durationMs];
}
