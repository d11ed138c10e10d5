import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, schemaOf } from '../../test/support/sqlite-mirror.ts';
import { Lsn } from '../core/lsn.ts';
import { RowCounts } from '../core/row-batch.ts';
import { withCheckedAnswers } from './check-answers.ts';
import type {
  AuthenticateAnswer,
  MirrorClientService,
  RowBatch,
  RowDataAnswer,
  RowDataResult,
  TablePosition,
  TableSchemaAnswer,
} from './contract.ts';

type Given = {
  readonly authenticate?: AuthenticateAnswer;
  readonly tableSchema?: TableSchemaAnswer;
  readonly rowData?: RowDataAnswer;
};

/** A client that answers what it is given. */
const answering = (given: Given): MirrorClientService => {
  const told = async <T>(answer: T | undefined): Promise<T> => answer ?? assert.fail('it was not to be called');
  return withCheckedAnswers({
    authenticate: () => told(given.authenticate),
    tableSchema: () => told(given.tableSchema),
    rowData: () => told(given.rowData),
    wipe: async () => ({ notes: [] }),
    replicationCompleted: async () => ({ notes: [] }),
  });
};

const named = (name: string) => ({ schema: null, name });
const broken = (message: RegExp) => ({ code: 'CONTRACT_BROKEN', recovery: 'operator', message });

const positionOf = (name: string): TablePosition => ({
  table: named(name),
  schemaChange: 'none',
  position: null,
  copy: null,
  error: null,
  notes: [],
});

test('every table of a schema call is answered once, and none that is to stay is dropped', async () => {
  const tables = ['one', 'two'].map((name) => schemaOf([column('id', 'INTEGER')], { table: named(name) }));
  const call = (names: readonly string[], dropped: readonly string[] = []) => {
    const answer = { tables: names.map(positionOf), dropped: dropped.map(named) };
    return answering({ tableSchema: answer }).tableSchema({ clientState: '', tables, leaveAlone: [named('three')] });
  };
  assert.equal((await call(['two', 'one'], ['four'])).tables.length, 2);
  await assert.rejects(call(['one']), broken(/says nothing of two/));
  await assert.rejects(call([]), broken(/says nothing of one/));
  await assert.rejects(call(['one', 'two', 'three']), broken(/speaks of three/));
  await assert.rejects(call(['one', 'two', 'one']), broken(/twice/));
  await assert.rejects(call(['one', 'two'], ['two']), broken(/dropped two/));
  await assert.rejects(call(['one', 'two'], ['three']), broken(/dropped three/));
});

const start = { lsn: Lsn.of(7), token: '', lineage: 'here', bookmark: null };
const batch = (name: string, phase: RowBatch['phase']): RowBatch => ({
  table: named(name),
  schemaHash: '',
  format: 'tagged',
  rows: new Uint8Array(),
  rowCount: 0,
  phase,
});
const changes = (position: typeof start | null) => ({ kind: 'changes', truncateFirst: false, position }) as const;

test('every table of a call with rows is answered once, with rows that can be and where it has to be', async () => {
  const batches = [
    batch('one', changes(null)),
    batch('one', changes(start)),
    batch('two', { kind: 'copy', progress: '', done: true }),
  ];
  const result = (name: string, more: Partial<RowDataResult> = {}): RowDataResult => ({
    ...{ table: named(name), counts: RowCounts.none, lsn: null, error: null, notes: [] },
    ...more,
  });
  const [one, two] = [result('one', { lsn: Lsn.of(7) }), result('two')];
  const call = (...tables: readonly RowDataResult[]) =>
    answering({ rowData: { tables } }).rowData({ clientState: '', batches });
  const error = { code: 'VALUE_REFUSED', message: 'no', hint: null, recovery: 'operator' } as const;
  await call(two, one);
  await call(result('one', { error, counts: { inserted: -1, updated: 0, deleted: 0 } }), two);
  await assert.rejects(call(one), broken(/says nothing of two/));
  await assert.rejects(call(one, two, result('three')), broken(/speaks of three/));
  await assert.rejects(call(one, two, two), broken(/twice/));
  await assert.rejects(call(result('one'), two), broken(/one was to be at 7, and it says nothing/));
  await assert.rejects(call(result('one', { lsn: Lsn.of(6) }), two), broken(/says 6/));
  for (const count of [-1, 0.5, Number.NaN, 2e12]) {
    for (const which of ['inserted', 'updated', 'deleted'] as const) {
      const counts = { ...RowCounts.none, [which]: count };
      await assert.rejects(call(one, result('two', { counts })), broken(/of two it counts rows that cannot be/));
    }
  }
});

test('what a client wants to have back with every call is bounded', async () => {
  const call = (length: number) => {
    const state = { supportedInterface: 1, build: '', clientState: 'x'.repeat(length) };
    const answer = { ...state, doNotReplicate: null, held: [], callBytesMax: null };
    return answering({ authenticate: answer }).authenticate({ tenant: 'acme', clientState: '' });
  };
  assert.equal((await call(100_000)).clientState.length, 100_000);
  await assert.rejects(call(1_000_000), broken(/its state has 1000000 characters/));
});
