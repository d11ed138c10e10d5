import {
  AnswerKind,
  Entry,
  Grant,
  Outcome,
  RequestKind,
  type WireEntries,
  type WireEntry,
  type WireOutcome,
  type WireStep,
} from '../executor/protocol.ts';
import { NotBegun } from '../executors/job.ts';
import type { CursorEntry, SqlRequestOptions } from '../sql.ts';
import type { ClientStream } from './stream.ts';
import { entriesOfOutcome, toCursorEntry } from './wire.ts';

/** Rows come in pieces of about so many bytes: a client that reads slowly holds no more of them. */
const PIECE_BYTES = 256 * 1024;

/**
 * Hands out a program's rows as they are asked for. A program that writes is carried out to its end first, since others
 * wait for it: its rows are held in memory.
 */
export async function* cursorEntries(
  stream: ClientStream,
  steps: readonly WireStep[],
  options: SqlRequestOptions,
): AsyncGenerator<CursorEntry> {
  await stream.enter(options);
  try {
    for await (const entry of wireEntries(stream, steps, options)) yield toCursorEntry(entry);
  } catch (error) {
    await stream.abandon(options);
    if (!(error instanceof NotBegun)) throw error;
    yield { kind: 'error', error: { code: error.code, message: error.message } };
  } finally {
    stream.leave(options);
  }
}

async function* wireEntries(
  stream: ClientStream,
  steps: readonly WireStep[],
  options: SqlRequestOptions,
): AsyncGenerator<WireEntry> {
  stream.assertUsable();
  const before = stream.needs(steps).writes ? [] : yield* pulledEntries(stream, steps, options);
  if (before !== null) yield* wholeEntries(stream, steps, before, options);
}

/** Answers null at the end, or the outcomes up to a step that writes after all. */
async function* pulledEntries(
  stream: ClientStream,
  steps: readonly WireStep[],
  { signal }: SqlRequestOptions,
): AsyncGenerator<WireEntry, readonly WireOutcome[] | null> {
  const outcomes: WireOutcome[] = [];
  const needs = { ...stream.needs(steps), isStateful: true };
  await stream.once({ steps, grants: Grant.cursor, before: [] }, needs, signal);
  stream.hasIdleCursor = true;
  try {
    for (;;) {
      const [kind, entries, isDone] = await pull(stream, signal);
      for (const entry of entries) {
        note(outcomes, entry);
        yield entry;
      }
      if (isDone) return kind === AnswerKind.entries ? null : outcomes;
    }
  } finally {
    if (stream.hasIdleCursor) await stream.ask((id) => [RequestKind.cursorClose, id, stream.id]);
    stream.hasIdleCursor = false;
  }
}

async function pull(
  stream: ClientStream,
  signal: AbortSignal | undefined,
): Promise<readonly [kind: number, entries: readonly WireEntry[], isDone: boolean]> {
  stream.assertUsable();
  stream.hasIdleCursor = false;
  const [kind, , , , body] = await stream.ask((id) => [RequestKind.cursorNext, id, stream.id, PIECE_BYTES], signal);
  signal?.throwIfAborted();
  stream.assertUsable();
  const [entries, isDone] = body as WireEntries;
  stream.hasIdleCursor = !isDone;
  return [kind, entries, isDone];
}

const DONE: WireOutcome = [Outcome.result, [[], []], [], 0n, null, 0, 0, 0];

/** Conditions of later steps ask how the steps went. */
function note(outcomes: WireOutcome[], entry: WireEntry): void {
  if (entry[0] === Entry.begin || entry[0] === Entry.error) {
    while (outcomes.length < entry[1]) outcomes.push([Outcome.skipped]);
  }
  if (entry[0] === Entry.end) outcomes.push(DONE);
  else if (entry[0] === Entry.error) outcomes.push([Outcome.error, entry[2], entry[3]]);
}

async function* wholeEntries(
  stream: ClientStream,
  steps: readonly WireStep[],
  before: readonly WireOutcome[],
  { signal }: SqlRequestOptions,
): AsyncGenerator<WireEntry> {
  const needs = { ...stream.needs(steps), writes: true };
  const outcomes = await stream.carryOut({ steps, grants: 0, before }, needs, signal);
  for (const [step, outcome] of outcomes.entries()) {
    if (step >= before.length) yield* entriesOfOutcome(outcome, step);
  }
}
