import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../../src/runtime/system-clock.ts';
import type {
  BatchStep,
  SqlStream,
  SqlValue,
  StatementResult,
  StepCondition,
  StepOutcome,
} from '../../../src/server/sql.ts';
import type { StreamObserver, StreamSettings } from '../../../src/server/streams/stream-settings.ts';
import { Streams } from '../../../src/server/streams/streams.ts';
import { TestFile, TestGate } from './open-gate.ts';

export type Served = { readonly file: TestFile; readonly gate: TestGate; readonly streams: Streams };

type Options = {
  readonly schema?: string;
  readonly settings?: Partial<StreamSettings>;
  readonly observer?: StreamObserver;
};

/** A database that is served for the length of a test. */
export function serve(context: TestContext, { schema = '', settings, observer }: Options = {}): Served {
  const folder = mkdtempSync(join(tmpdir(), 'speil-streams-'));
  const file = new TestFile(join(folder, 'database.db'), schema);
  const gate = new TestGate(file);
  const streams = new Streams({
    ...{ name: 'test', path: file.path, clock: systemClock, gate },
    ...(settings === undefined ? {} : { settings }),
    ...(observer === undefined ? {} : { observer }),
  });
  context.after(async () => {
    await streams.close();
    file[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  return { file, gate, streams };
}

/** A step; with an object in place of values, these are named. */
export function step(
  sql: string,
  values: readonly SqlValue[] | Record<string, SqlValue> = [],
  condition: StepCondition | null = null,
): BatchStep {
  const isNamed = !Array.isArray(values);
  const named = new Map(isNamed ? Object.entries(values as Record<string, SqlValue>) : []);
  const positional = isNamed ? [] : (values as readonly SqlValue[]);
  return { statement: { sql, positional, named, wantRows: true }, condition };
}

export async function outcome(
  stream: SqlStream,
  sql: string,
  values?: readonly SqlValue[] | Record<string, SqlValue>,
): Promise<StepOutcome> {
  const [first] = await stream.batch([step(sql, values)]);
  return first as StepOutcome;
}

/** The result of a statement; throws its error. */
export async function run(
  stream: SqlStream,
  sql: string,
  values?: readonly SqlValue[] | Record<string, SqlValue>,
): Promise<StatementResult> {
  const answer = await outcome(stream, sql, values);
  if (answer.kind === 'result') return answer.result;
  throw new Error(answer.kind === 'error' ? `${answer.error.code} ${answer.error.message}` : 'skipped');
}

export const rows = async (stream: SqlStream, sql: string, values?: readonly SqlValue[]) =>
  (await run(stream, sql, values)).rows;

/** `code message` of the error that a statement must end with. */
export async function failure(
  stream: SqlStream,
  sql: string,
  values?: readonly SqlValue[] | Record<string, SqlValue>,
): Promise<string> {
  const answer = await outcome(stream, sql, values);
  if (answer.kind !== 'error') throw new Error(`${sql} did not fail`);
  return `${answer.error.code} ${answer.error.message}`;
}

/** Waits, for as long as a slow machine may take, until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const startedMs = performance.now();
  while (!(await isSo())) {
    if (performance.now() - startedMs > 20_000) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
