import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERROR_CODES, type ErrorReport } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import type { TableSchema } from '../../core/table.ts';
import type { BatchPhase, RowBatch, StandingCopy, TablePosition } from '../../task/contract.ts';
import { CALL_NAMES, type CallName } from '../exchange.ts';
import { encodeFrame } from './frame.ts';
import {
  type Answers,
  decodeAnswer,
  decodeError,
  decodeProved,
  decodeRequest,
  encodeAnswer,
  encodeError,
  encodeProved,
  encodeRequest,
  type Requests,
} from './messages.ts';

const text = fc.string({ unit: 'binary', maxLength: 30 }).map((value) => value.toWellFormed());
const count = fc.nat();
const lsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => Lsn.of(value));
const table = fc.record({ schema: fc.option(text), name: text });
const notes = fc.array(text, { maxLength: 3 });
const position: fc.Arbitrary<SourcePosition> = fc.record(
  { lsn, token: text, lineage: text, bookmark: fc.option(text), witness: text },
  { requiredKeys: ['lsn', 'token', 'lineage', 'bookmark'] },
);
const column = fc.record({
  name: text,
  id: fc.option(fc.integer()),
  type: text,
  declaredType: text,
  nullable: fc.boolean(),
  defaultExpression: fc.option(text),
  generatedAs: fc.option(text),
  fill: fc.oneof(
    fc.record({ kind: fc.constant('value' as const), text: fc.option(text) }),
    fc.record({ kind: fc.constant('unknown' as const) }),
  ),
});
const schema: fc.Arbitrary<TableSchema> = fc.record({
  table,
  dialect: fc.constantFrom('postgres' as const, 'sqlite' as const),
  columns: fc.array(column, { maxLength: 4 }),
  key: fc.array(text, { maxLength: 3 }),
  identity: text,
});
const phase: fc.Arbitrary<BatchPhase> = fc.oneof(
  fc.record({ kind: fc.constant('copy' as const), progress: text, done: fc.boolean() }),
  fc.record({ kind: fc.constant('changes' as const), truncateFirst: fc.boolean(), position: fc.option(position) }),
);
const batch: fc.Arbitrary<RowBatch> = fc.record({
  table,
  schemaHash: text,
  phase,
  format: fc.constantFrom('typed' as const, 'tagged' as const),
  rowCount: count,
  rows: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
});
const counts = { inserted: count, updated: count, deleted: count };
const report: fc.Arbitrary<ErrorReport> = fc.record({
  code: fc.constantFrom(...ERROR_CODES),
  message: text,
  hint: fc.option(text),
  recovery: fc.constantFrom('retry' as const, 'repopulate' as const, 'operator' as const),
});
const copy: fc.Arbitrary<StandingCopy> = fc.record({
  start: position,
  progress: fc.option(text),
  rows: count,
  filled: fc.boolean(),
});
const tablePosition: fc.Arbitrary<TablePosition> = fc.record({
  table,
  schemaChange: fc.constantFrom('none' as const, 'created' as const, 'altered' as const, 'recreated' as const),
  position: fc.option(position),
  copy: fc.option(copy),
  error: fc.option(report),
  notes,
});
const many = <T>(one: fc.Arbitrary<T>) => fc.array(one, { maxLength: 4 });

const requests: { readonly [C in CallName]: fc.Arbitrary<Requests[C]> } = {
  authenticate: fc.record({ tenant: text, clientState: text }),
  'table-schema': fc.record({ clientState: text, tables: many(schema), leaveAlone: many(table) }),
  wipe: fc.record({ clientState: text, schema, start: position }),
  'row-data': fc.record({ clientState: text, batches: many(batch) }),
  'replication-completed': fc.record({ clientState: text, changedTables: many(fc.record({ table, ...counts })) }),
};

const answers: { readonly [C in CallName]: fc.Arbitrary<Answers[C]> } = {
  authenticate: fc.record(
    {
      supportedInterface: fc.integer(),
      build: text,
      clientState: text,
      doNotReplicate: fc.option(fc.record({ reason: text })),
      held: many(position),
      callBytesMax: fc.option(fc.integer({ min: 1 })),
      notes,
    },
    { requiredKeys: ['supportedInterface', 'build', 'clientState', 'doNotReplicate', 'held', 'callBytesMax'] },
  ),
  'table-schema': fc.record({ tables: many(tablePosition), dropped: many(table) }),
  wipe: fc.record({ notes }),
  'row-data': fc.record({
    tables: many(fc.record({ table, counts: fc.record(counts), lsn: fc.option(lsn), error: fc.option(report), notes })),
  }),
  'replication-completed': fc.record({ notes }),
};

const broken = { name: 'SpeilError', code: 'CONTRACT_BROKEN' };

/** Records of fast-check have no prototype. */
const plain = <T>(value: T): T => structuredClone(value);

/** What was encoded comes back, also from the middle of a larger buffer. */
function comesBack<T>(value: T, encode: (value: T) => Uint8Array, decode: (bytes: Uint8Array) => T): void {
  const bytes = Buffer.concat([Buffer.from('before'), encode(value)]).subarray('before'.length);
  assert.deepEqual(plain(decode(bytes)), plain(value));
}

for (const call of CALL_NAMES) {
  test(`the request and the answer of ${call} come back as they were`, () => {
    const request: fc.Arbitrary<Requests[CallName]> = requests[call];
    fc.assert(
      fc.property(request, (value) =>
        comesBack(
          value,
          (it) => encodeRequest(call, it),
          (it) => decodeRequest(call, it),
        ),
      ),
    );
    const answer: fc.Arbitrary<Answers[CallName]> = answers[call];
    fc.assert(
      fc.property(answer, (value) =>
        comesBack(
          value,
          (it) => encodeAnswer(call, it),
          (it) => decodeAnswer(call, it),
        ),
      ),
    );
  });

  test(`a request of ${call} that is damaged anywhere is decoded or refused, and never anything else`, () => {
    const request: fc.Arbitrary<Requests[CallName]> = requests[call];
    fc.assert(
      fc.property(request, fc.nat(), fc.nat({ max: 255 }), (value, at, byte) => {
        const bytes = Buffer.from(encodeRequest(call, value));
        bytes[at % bytes.length] = byte;
        refusedOrDecoded(() => decodeRequest(call, bytes));
        refusedOrDecoded(() => decodeAnswer(call, bytes));
        assert.throws(() => decodeRequest(call, bytes.subarray(0, (at % bytes.length) - 1)), broken);
      }),
    );
  });
}

function refusedOrDecoded(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'CONTRACT_BROKEN', String(error));
  }
}

test('bytes that nobody encoded are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      for (const call of CALL_NAMES) assert.throws(() => decodeRequest(call, bytes), broken);
    }),
  );
});

const state = { clientState: '' };
const somewhere = { schema: null, name: 't' };
const rowBatch = { table: somewhere, schemaHash: 'h', format: 'typed', rowCount: 1, bytes: 2 };
const changes = { kind: 'changes', truncateFirst: false, position: null };
const bytes = (head: unknown, rest = ''): Uint8Array => encodeFrame(head, [Buffer.from(rest)]);

test('what a request has too much of, too little of, or otherwise is refused', () => {
  const start = { lsn: '1', token: '', lineage: '', bookmark: null };
  const empty = { table: somewhere, dialect: 'sqlite', columns: [], key: [], identity: '' };
  const wrong: readonly (readonly [CallName, unknown, string?])[] = [
    ['authenticate', { tenant: 'acme' }],
    ['authenticate', { tenant: 'acme', clientState: '', more: 1 }],
    ['authenticate', { tenant: 'acme', clientState: '' }, 'and more'],
    ['authenticate', { tenant: 'a'.repeat(1001), clientState: '' }],
    ['authenticate', null],
    ['authenticate', []],
    ['wipe', { ...state, schema: empty, start: { ...start, lsn: 1 } }],
    ['wipe', { ...state, schema: empty, start: { ...start, lsn: '-1' } }],
    ['wipe', { ...state, schema: empty, start: { ...start, lsn: '18446744073709551616' } }],
    ['wipe', { ...state, schema: { ...empty, dialect: 'oracle' }, start }],
    ['wipe', { ...state, schema: { ...empty, key: Array(5000).fill('k') }, start }],
    ['row-data', { ...state, batches: [{ ...rowBatch, phase: changes }] }],
    ['row-data', { ...state, batches: [{ ...rowBatch, phase: changes }] }, 'abc'],
    ['row-data', { ...state, batches: [{ ...rowBatch, phase: changes, bytes: -1 }] }],
    ['row-data', { ...state, batches: [{ ...rowBatch, phase: { kind: 'other' } }] }, 'ab'],
    ['row-data', { ...state, batches: [{ ...rowBatch, phase: changes, bytes: Number.MAX_SAFE_INTEGER }] }, 'ab'],
    ['replication-completed', { ...state, changedTables: Array(100_001).fill(null) }],
  ];
  for (const [call, head, rest] of wrong) {
    assert.throws(() => decodeRequest(call, bytes(head, rest)), broken, JSON.stringify(head).slice(0, 200));
  }
  assert.ok(decodeRequest('wipe', bytes({ ...state, schema: empty, start })));
  assert.ok(decodeRequest('row-data', bytes({ ...state, batches: [{ ...rowBatch, phase: changes }] }, 'ab')));
});

test('a head that says it is longer than the body is refused without reading beyond it', () => {
  const frame = Buffer.from(bytes({ tenant: 'acme', clientState: '' }));
  frame.writeUInt32BE(0xffff_ffff);
  assert.throws(() => decodeRequest('authenticate', frame), broken);
});

test('a head of the size of the largest schema is read in a moment', () => {
  const columns = Array.from({ length: 13 }, (_, at) => ({
    name: `column_${at}`,
    id: at,
    type: 'text',
    declaredType: 'text',
    nullable: true,
    defaultExpression: null,
    generatedAs: null,
    fill: { kind: 'value' as const, text: null },
  }));
  const tables = Array.from({ length: 413 }, (_, at) => ({
    table: { schema: null, name: `table_${at}` },
    dialect: 'postgres' as const,
    columns,
    key: ['column_0'],
    identity: 'i',
  }));
  const request = { clientState: '', tables, leaveAlone: [] };
  const encoded = encodeRequest('table-schema', request);
  assert.ok(encoded.length > 700_000);
  assert.deepEqual(decodeRequest('table-schema', encoded), request);
});

test('a proved answer comes back in its two parts', () => {
  const { proof, answer } = decodeProved(encodeProved('a.b.c', Buffer.from('bytes')));
  assert.equal(proof, 'a.b.c');
  assert.equal(Buffer.from(answer).toString(), 'bytes');
  assert.throws(() => decodeProved(encodeFrame({ proof: 'a.b.c' })), broken);
});

test('a failure comes back as it was thrown, without what a terminal would obey', () => {
  const failure = { code: 'MIRROR_BUSY', message: 'busy', hint: 'wait', recovery: 'retry' } as const;
  const error = decodeError(encodeError(failure));
  assert.deepEqual(
    { ...failure },
    { code: error.code, message: error.message, hint: error.hint, recovery: error.recovery },
  );
  assert.equal(decodeError(encodeError({ ...failure, message: 'a\u001b[2Jb\u0007' })).message, 'a [2Jb ');
});

test('a failure that is none of ours is a contract that was broken', () => {
  for (const other of ['', 'nonsense', '{}', '{"code":"SOMETHING_NEW","message":"","hint":null,"recovery":"retry"}']) {
    assert.equal(decodeError(Buffer.from(other)).code, 'CONTRACT_BROKEN');
  }
});
