import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lsn } from '../core/lsn.ts';
import type { SourcePosition, Verdict } from '../core/position.ts';
import type { TablePosition } from './contract.ts';
import { decideWork, positionToJudge } from './decide.ts';

const position = (lsn: number): SourcePosition => ({ lsn: Lsn.of(lsn), token: 't', lineage: 'l', bookmark: null });
const copy = { start: position(5), progress: 'p', rows: 100, filled: false };
const answer = (held: Partial<TablePosition>): TablePosition => ({
  table: { schema: null, name: 'person' },
  schemaChange: 'none',
  position: null,
  copy: null,
  error: null,
  notes: [],
  ...held,
});

const goOn: Verdict = { kind: 'continue' };
const again: Verdict = { kind: 'repopulate', reason: 'retention', explanation: 'too old' };

test('a position that counts is caught up from', () => {
  assert.deepEqual(decideWork(answer({ position: position(9) }), goOn), { kind: 'catch-up', since: position(9) });
});

test('no position: copy', () => {
  assert.equal(decideWork(answer({}), null).kind, 'copy');
});

test('a position that does not count: copy, with the reason', () => {
  const work = decideWork(answer({ position: position(9) }), again);
  assert.deepEqual(work, { kind: 'copy', reason: 'retention', explanation: 'too old' });
});

test('a standing copy goes on, and its start is what is judged', () => {
  const held = answer({ position: position(9), copy });
  assert.equal(positionToJudge(held)?.lsn, 5n);
  assert.deepEqual(decideWork(held, goOn), { kind: 'resume-copy', ...copy });
});

test('a standing copy whose start does not count any more begins again', () => {
  assert.equal(decideWork(answer({ copy }), again).kind, 'copy');
});

test('a mirror of another source is copied anew once it is taken over', () => {
  const work = decideWork(answer({ position: position(1) }), { kind: 'foreign', explanation: 'of another' });
  assert.deepEqual(work, { kind: 'copy', reason: 'taken-over', explanation: 'of another' });
});
