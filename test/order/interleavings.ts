import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Mirroring } from '../conformance/mirroring.ts';
import { Session } from './sessions.ts';

const SESSIONS = 4;
const ROWS_EACH = 8;

/** What one session, or the task, does next. Sessions write rows of their own only, so none waits for another. */
type Step =
  | { readonly kind: 'begin'; readonly session: number; readonly level: string }
  | { readonly kind: 'write'; readonly session: number; readonly row: number; readonly what: Write }
  | { readonly kind: 'end'; readonly session: number; readonly how: 'COMMIT' | 'ROLLBACK' }
  | { readonly kind: 'savepoint'; readonly session: number; readonly how: 'SAVEPOINT' | 'ROLLBACK TO' | 'RELEASE' }
  | { readonly kind: 'cycle' };

type Write = 'put' | 'delete' | 'move' | 'put line' | 'delete line';

const session = fc.nat(SESSIONS - 1);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('begin' as const),
      session,
      level: fc.constantFrom('READ COMMITTED', 'REPEATABLE READ'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      session,
      row: fc.nat(ROWS_EACH - 1),
      what: fc.constantFrom<Write>('put', 'put', 'delete', 'move', 'put line', 'delete line'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      session,
      how: fc.constantFrom('COMMIT' as const, 'COMMIT' as const, 'ROLLBACK' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('savepoint' as const),
      session,
      how: fc.constantFrom('SAVEPOINT' as const, 'ROLLBACK TO' as const, 'RELEASE' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cycle' as const) }) },
);

const TABLES = `CREATE TABLE item (id int PRIMARY KEY, note text NOT NULL);
  CREATE TABLE line (item int, nth int, note text, PRIMARY KEY (item, nth))`;

function writeSql(at: number, { row, what }: Extract<Step, { kind: 'write' }>, note: number): string {
  const id = at * 100 + row;
  switch (what) {
    case 'put':
      return `INSERT INTO item VALUES (${id}, '${note}') ON CONFLICT (id) DO UPDATE SET note = excluded.note`;
    case 'delete':
      return `DELETE FROM item WHERE id = ${id}`;
    case 'move':
      return `UPDATE item SET id = id + 50 WHERE id = ${id} AND NOT EXISTS (SELECT FROM item WHERE id = ${id + 50})`;
    case 'put line':
      return `INSERT INTO line SELECT id, ${row}, '${note}' FROM item WHERE id / 100 = ${at} ON CONFLICT (item, nth) DO UPDATE SET note = excluded.note`;
    case 'delete line':
      return `DELETE FROM line WHERE item / 100 = ${at} AND nth >= ${row}`;
  }
}

type State = { readonly session: Session; open: boolean; savepoint: boolean };

async function takeStep(
  states: readonly State[],
  current: Exclude<Step, { kind: 'cycle' }>,
  note: number,
): Promise<void> {
  const state = states[current.session];
  assert.ok(state);
  if (current.kind === 'begin' && !state.open) {
    await state.session.begin(current.level);
    Object.assign(state, { open: true, savepoint: false });
  }
  if (current.kind === 'write') await state.session.sql(writeSql(current.session, current, note));
  if (current.kind === 'end' && state.open) {
    await state.session.sql(current.how);
    Object.assign(state, { open: false, savepoint: false });
  }
  if (current.kind === 'savepoint' && state.open) {
    if (current.how !== 'SAVEPOINT' && !state.savepoint) return;
    await state.session.sql(`${current.how} here`);
    state.savepoint = current.how !== 'RELEASE';
  }
}

async function play(mirroring: Mirroring, steps: readonly Step[], forget: boolean): Promise<void> {
  await using stack = new AsyncDisposableStack();
  await mirroring.source.sql(TABLES);
  await mirroring.follow();
  const states: State[] = [];
  for (let at = 0; at < SESSIONS; at++) {
    const opened = stack.use(await Session.open(mirroring.source.address));
    states.push({ session: opened, open: false, savepoint: false });
  }
  for (const [note, current] of steps.entries()) {
    if (current.kind === 'cycle') await mirroring.follow();
    else await takeStep(states, current, note);
  }
  for (const state of states) if (state.open) await state.session.sql('COMMIT');
  if (forget) await mirroring.source.sql("INSERT INTO item VALUES (-1, 'forgotten'); DELETE FROM speil.change_1");
  await mirroring.follow();
}

export type InterleavingOptions = {
  readonly numRuns: number;
  readonly seed?: number;
  /** Takes a change out of the change tracking, to see that it would be found. */
  readonly forget?: boolean;
};

/** Plays scripts of statements in several sessions at once; after each cycle the mirror must be the source. */
export async function interleavingsHold({ numRuns, seed, forget = false }: InterleavingOptions): Promise<void> {
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 20, maxLength: 60 }),
    fc.boolean(),
    async (steps, toSqlite) => {
      const pair = { name: 'interleavings', source: 'postgres', mirror: toSqlite ? 'sqlite' : 'postgres' } as const;
      await using mirroring = await Mirroring.open(pair);
      await play(mirroring, steps, forget);
    },
  );
  await fc.assert(property, { numRuns, ...(seed === undefined ? {} : { seed }), endOnFailure: forget });
}
