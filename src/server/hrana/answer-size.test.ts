import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqlValue } from '../sql.ts';
import { limited, rowBytes } from './answer-size.ts';
import { jsonCodec } from './json-codec.ts';
import type { Answer } from './messages.ts';

const answer = (rows: readonly (readonly SqlValue[])[]): Answer => ({
  kind: 'execute',
  result: {
    columns: [],
    rows,
    affectedRows: 0n,
    lastInsertRowid: null,
    rowsRead: 0,
    rowsWritten: 0,
    durationMs: 0,
  },
});

test('answers that are too large are replaced, the others stay', () => {
  const small = answer([[1n]]);
  const large = answer([['x'.repeat(1_000)]]);
  const plain: Answer = { kind: 'close' };
  assert.deepEqual(limited([small, large, plain], 2_000), [small, large, plain]);
  assert.deepEqual(
    limited([small, large, plain], 500).map((it) => (it.kind === 'error' ? it.error.code : it.kind)),
    ['execute', 'ANSWER_TOO_LARGE', 'ANSWER_TOO_LARGE'],
  );
  const outcomes = [{ kind: 'result', result: (large as Extract<Answer, { kind: 'execute' }>).result }] as const;
  assert.equal(limited([{ kind: 'batch', outcomes }], 500)[0]?.kind, 'error');
});

test('the size of a row is about that on the wire', () => {
  const rows: SqlValue[][] = [
    [null, 1n, -(2n ** 63n), 0.1, 1e300],
    ['x'.repeat(10_000), 'é'],
    [new Uint8Array(10_000), new Uint8Array(0)],
  ];
  for (const row of rows) {
    const written =
      jsonCodec.writePipeline(null, [answer([row])]).length - jsonCodec.writePipeline(null, [answer([[]])]).length;
    assert.ok(Math.abs(rowBytes(row) - written) < 30 * row.length, `${rowBytes(row)} for ${written}`);
  }
});
