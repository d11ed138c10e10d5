import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqlValue } from '../sql.ts';
import { rowBytes } from './answer-size.ts';
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
