import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SpeilError } from '../../src/core/error.ts';
import { jsonCodec } from '../../src/server/hrana/json-codec.ts';
import type { Answer, Codec } from '../../src/server/hrana/messages.ts';
import { protobufCodec } from '../../src/server/hrana/protobuf-codec.ts';
import type { Condition, Request, Statement, Value } from '../support/hrana-json.ts';
import { plainEntry, plainResponse, protoRequest } from '../support/hrana-proto-json.ts';
import { decode, encode, type ProtoJson } from '../support/hrana-schema.ts';

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const text = fc.string({ unit: 'binary' });
const bytes = fc.uint8Array({ maxLength: 20 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const float = fc.double({ noNaN: true, noDefaultInfinity: true });

const valueJson: fc.Arbitrary<Value> = fc.oneof(
  fc.constant<Value>({ type: 'null' }),
  int64.map((value) => ({ type: 'integer' as const, value: `${value}` })),
  float.map((value) => ({ type: 'float' as const, value })),
  text.map((value) => ({ type: 'text' as const, value })),
  bytes.map((value) => ({ type: 'blob' as const, base64: Buffer.from(value).toString('base64') })),
);

const target = fc.oneof(fc.record({ sql: text }), fc.record({ sql_id: int32 }));

const statementJson: fc.Arbitrary<Statement> = fc
  .tuple(
    target,
    fc.record(
      {
        args: fc.array(valueJson),
        named_args: fc.array(fc.record({ name: text, value: valueJson })),
        want_rows: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([of, rest]) => ({ ...of, ...rest }));

const { condition: conditionJson } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', maxDepth: 8 },
    fc.record({ type: fc.constantFrom('ok' as const, 'error' as const), step: fc.constant(0) }),
    fc.constant<Condition>({ type: 'is_autocommit' }),
    fc.record({ type: fc.constant('not' as const), cond: tie('condition') }),
    fc.record({ type: fc.constantFrom('and' as const, 'or' as const), conds: fc.array(tie('condition')) }),
  ),
}));

const batchJson = fc.array(fc.tuple(statementJson, fc.option(conditionJson, { nil: undefined }))).map((steps) => ({
  steps: steps.map(([stmt, condition], index) =>
    index === 0 || condition === undefined ? { stmt } : { stmt, condition },
  ),
}));

const requestJson: fc.Arbitrary<Request> = fc.oneof(
  fc.constantFrom<Request>({ type: 'close' }, { type: 'get_autocommit' }),
  statementJson.map((stmt) => ({ type: 'execute' as const, stmt })),
  batchJson.map((batch) => ({ type: 'batch' as const, batch })),
  fc.tuple(fc.constantFrom('sequence' as const, 'describe' as const), target).map(([type, of]) => ({ type, ...of })),
  fc.record({ type: fc.constant('store_sql' as const), sql_id: int32, sql: text }),
  fc.record({ type: fc.constant('close_sql' as const), sql_id: int32 }),
);

const pipelineJson = fc.record({ baton: fc.option(text, { nil: undefined }), requests: fc.array(requestJson) });

const asJson = (it: unknown) => Buffer.from(JSON.stringify(it, (_, value) => (Object.is(value, -0) ? 0 : value)));
const asProtobuf = ({ baton, requests }: { baton: string | undefined; requests: Request[] }) =>
  Buffer.from(
    encode('PipelineRequest', {
      ...(baton === undefined ? {} : { baton }),
      requests: requests.map((each) => protoRequest(each)),
    }),
  );

/** Buffers and byte arrays alike; JSON does not tell -0 from 0. */
const plain = (it: unknown): unknown =>
  JSON.parse(
    JSON.stringify(it, (_, value) => {
      if (typeof value === 'bigint') return `${value}n`;
      if (value instanceof Map) return [...value];
      return value?.type === 'Buffer' || value instanceof Uint8Array
        ? Buffer.from(value.data ?? value).toString('hex')
        : value;
    }),
  );

test('both encodings of a pipeline are read alike', () => {
  fc.assert(
    fc.property(pipelineJson, (pipeline) => {
      const fromJson = jsonCodec.readPipeline(asJson(pipeline));
      assert.deepEqual(plain(fromJson), plain(protobufCodec.readPipeline(asProtobuf(pipeline))));
      assert.equal(fromJson.requests.length, pipeline.requests.length);
    }),
    { numRuns: 300 },
  );
});

const sqlValue = fc.oneof(fc.constant(null), int64, fc.double({ noNaN: true }), text, bytes);
const column = fc.record({ name: text, declaredType: fc.option(text) });
const failure = fc.record({ message: text, code: text });
const rowid = fc.option(int64);
const changed = fc.bigInt({ min: 0n, max: 2n ** 53n });
const nat = fc.nat();

const result = fc.record({
  columns: fc.array(column),
  rows: fc.array(fc.array(sqlValue)),
  affectedRows: changed,
  lastInsertRowid: rowid,
  rowsRead: nat,
  rowsWritten: nat,
  durationMs: fc.constantFrom(0, 0.25, 1234.5),
});

const outcome = fc.oneof(
  result.map((it) => ({ kind: 'result' as const, result: it })),
  failure.map((error) => ({ kind: 'error' as const, error })),
  fc.constant({ kind: 'skipped' as const }),
);

const description = fc.record({
  parameters: fc.array(fc.option(text)),
  columns: fc.array(column),
  isExplain: fc.boolean(),
  isReadonly: fc.boolean(),
});

const answer: fc.Arbitrary<Answer> = fc.oneof(
  fc.constantFrom<Answer>({ kind: 'close' }, { kind: 'sequence' }, { kind: 'store_sql' }, { kind: 'close_sql' }),
  result.map((it) => ({ kind: 'execute' as const, result: it })),
  fc.array(outcome).map((outcomes) => ({ kind: 'batch' as const, outcomes })),
  description.map((it) => ({ kind: 'describe' as const, description: it })),
  fc.boolean().map((isAutocommit) => ({ kind: 'get_autocommit' as const, isAutocommit })),
  failure.map((error) => ({ kind: 'error' as const, error })),
);

const entry = fc.oneof(
  fc.record({ kind: fc.constant('step-begin' as const), step: nat, columns: fc.array(column) }),
  fc.record({ kind: fc.constant('row' as const), row: fc.array(sqlValue) }),
  fc.record({ kind: fc.constant('step-end' as const), affectedRows: changed, lastInsertRowid: rowid }),
  fc.record({ kind: fc.constant('step-error' as const), step: nat, error: failure }),
  fc.record({ kind: fc.constant('error' as const), error: failure }),
);

/** Without what only one of the encodings carries in this schema. */
const comparable = (it: unknown): unknown =>
  JSON.parse(
    JSON.stringify(it, (name, value) => {
      if (['rows_read', 'rows_written', 'query_duration_ms'].includes(name)) return undefined;
      if (value === Number.POSITIVE_INFINITY) return 'Infinity';
      return value === Number.NEGATIVE_INFINITY ? '-Infinity' : value;
    }),
  );

test('both encodings of answers say the same', () => {
  fc.assert(
    fc.property(fc.option(text), fc.array(answer), (baton, answers) => {
      const json = JSON.parse(jsonCodec.writePipeline(baton, answers) as string);
      const proto = decode('PipelineResponse', protobufCodec.writePipeline(baton, answers) as Uint8Array);
      const results = (proto['results'] as { ok?: ProtoJson; error?: unknown }[]).map(({ ok, error }, index) => {
        const given = answers[index];
        const steps = given?.kind === 'batch' ? given.outcomes.length : 0;
        return ok === undefined ? { type: 'error', error } : { type: 'ok', response: plainResponse(ok, steps) };
      });
      assert.deepEqual(comparable({ baton: proto['baton'] ?? null, base_url: null, results }), comparable(json));
    }),
    { numRuns: 300 },
  );
});

test('both encodings of a cursor’s entries say the same', () => {
  fc.assert(
    fc.property(entry, (it) => {
      const line = jsonCodec.writeCursorEntry(it) as string;
      assert.equal(line.indexOf('\n'), line.length - 1);
      const delimited = protobufCodec.writeCursorEntry(it) as Uint8Array;
      const lengthBytes = delimited.findIndex((byte) => byte < 0x80) + 1;
      const fromProtobuf = plainEntry(decode('Entry', delimited.subarray(lengthBytes)));
      assert.deepEqual(comparable(fromProtobuf), comparable(JSON.parse(line)));
    }),
    { numRuns: 300 },
  );
});

test('whatever comes is read or refused as no protocol', () => {
  const readers = ({ readPipeline, readCursorCall, readClientMessage }: Codec) => [
    readPipeline,
    readCursorCall,
    readClientMessage,
  ];
  const survives = (codec: Codec, message: Uint8Array) => {
    for (const read of readers(codec)) {
      try {
        read(Buffer.from(message));
      } catch (error) {
        assert.ok(error instanceof SpeilError && error.code === 'PROTOCOL_BROKEN', `${error}`);
      }
    }
  };
  fc.assert(
    fc.property(pipelineJson, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 }), (pipeline, changes) => {
      for (const [codec, good] of [
        [jsonCodec, asJson(pipeline)],
        [protobufCodec, asProtobuf(pipeline)],
      ] as const) {
        const message = Buffer.from(good);
        for (const [at, byte] of changes) message[at % message.length] = byte;
        survives(codec, message);
        survives(codec, message.subarray(0, message.length / 2));
      }
    }),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.json(), (json) => survives(jsonCodec, Buffer.from(json))));
  fc.assert(fc.property(fc.uint8Array(), (random) => survives(protobufCodec, random)));
});

test('what JSON has no words for', () => {
  const values = (...row: number[]) => {
    const given = { columns: [], affectedRows: 0n, lastInsertRowid: null, rowsRead: 0, rowsWritten: 0, durationMs: 0 };
    const json = jsonCodec.writePipeline(null, [{ kind: 'execute', result: { ...given, rows: [row] } }]) as string;
    return JSON.parse(json).results[0].response.result.rows[0];
  };
  const [minusZero, up, down, nan] = values(-0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN);
  assert.ok(Object.is(minusZero.value, -0));
  assert.deepEqual([up.value, down.value], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  assert.deepEqual(nan, { type: 'null' });
});
