import type { SqlValue } from '../sql.ts';
import { bindArguments } from './bind.ts';
import { isChange, isInsert, NEEDS_OWN } from './connection.ts';
import type { Prepared } from './prepared.ts';
import { AnswerKind, Entry, Outcome, type WireEntry, type WireOutcome, type WireStep } from './protocol.ts';
import { enter, holds, objectionTo, type Place, type RunContext, rowBytes, type Stop } from './run.ts';
import { StatementFailure } from './sqlite-error.ts';

/** A program whose rows are pulled: SQLite has gone no further than the rows that were asked for. */
export class Cursor {
  readonly place: Place;
  readonly #entries: Generator<WireEntry, Stop | null>;

  constructor(place: Place, steps: readonly WireStep[], context: RunContext) {
    this.place = place;
    this.#entries = entriesOf(place, steps, context);
  }

  /** Entries of about so many bytes. `end`: there are no more, since all is done or why the rest cannot be done here. */
  pull(bytes: number): { readonly entries: readonly WireEntry[]; readonly end: 'more' | 'done' | Stop } {
    const entries: WireEntry[] = [];
    for (let pulled = 0; pulled < bytes; ) {
      const next = this.#entries.next();
      if (next.done) return { entries, end: next.value ?? 'done' };
      entries.push(next.value);
      pulled += next.value[0] === Entry.row ? rowBytes(next.value[1]) : ENTRY_BYTES;
    }
    return { entries, end: 'more' };
  }

  close(): void {
    this.#entries.return(null);
  }
}

const ENTRY_BYTES = 64;

/** What conditions ask of a step's outcome. */
const DONE: WireOutcome = [Outcome.result, [[], []], [], 0n, null, 0, 0, 0];

function* entriesOf(place: Place, steps: readonly WireStep[], context: RunContext): Generator<WireEntry, Stop | null> {
  const outcomes: WireOutcome[] = [];
  for (const [index, step] of steps.entries()) {
    try {
      if (!holds(step[4], outcomes, place.connection)) {
        outcomes.push([Outcome.skipped]);
        continue;
      }
      const prepared = place.connection.prepare(step[0]);
      const stop = objectionTo(prepared, place, context);
      if (stop !== null) return stop;
      yield* entriesOfStep(place, prepared, step, index, context);
      outcomes.push(DONE);
    } catch (thrown) {
      if (!(thrown instanceof StatementFailure)) throw thrown;
      if (thrown.code === NEEDS_OWN) return AnswerKind.needsOwn;
      outcomes.push(thrown.outcome);
      yield [Entry.error, index, thrown.code, thrown.message];
    }
  }
  return null;
}

function* entriesOfStep(
  { connection }: Place,
  prepared: Prepared,
  step: WireStep,
  index: number,
  context: RunContext,
): Generator<WireEntry, void> {
  const args = bindArguments(prepared, step);
  enter(connection, prepared, context);
  try {
    const rows = prepared.statement.iterate(...args) as Iterator<unknown> as Iterator<readonly SqlValue[], undefined>;
    let row = rows.next();
    connection.leave(prepared);
    yield [Entry.begin, index, prepared.columns];
    for (; !row.done; row = rows.next()) if (step[3]) yield [Entry.row, row.value];
    yield endOf(connection, prepared);
  } catch (thrown) {
    throw connection.failure(thrown, 'run', prepared.text);
  } finally {
    connection.leave(prepared);
  }
}

function endOf(connection: Place['connection'], prepared: Prepared): WireEntry {
  if (!prepared.facts.writes && !prepared.facts.temp) return [Entry.end, 0n, null];
  const { changes, rowid } = connection.leaveWrite(prepared);
  return [Entry.end, isChange(prepared.traits) ? changes : 0n, isInsert(prepared.traits) ? rowid : null];
}
