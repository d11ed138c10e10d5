import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerBudget, AnswerShare } from './answer-budget.ts';
import { answerBytes } from './answer-size.ts';
import { ANSWER_BYTES_MAX } from './limits.ts';
import type { Answer } from './messages.ts';

type Execute = Extract<Answer, { kind: 'execute' }>;

const NO_CHANGE = { affectedRows: 0n, lastInsertRowid: null, rowsRead: 0, rowsWritten: 0, durationMs: 0 };
const answer = (rows: readonly string[]): Execute => ({
  kind: 'execute',
  result: { columns: [], rows: rows.map((row) => [row]), ...NO_CHANGE },
});

const said = (it: Answer) => (it.kind === 'error' ? it.error.code : it.kind);

test('answers that are too large together are replaced, the others stay', () => {
  const share = new AnswerShare(new AnswerBudget());
  const small = answer(['1']);
  const large = answer(Array.from({ length: 150 }, () => 'x'.repeat(1_000_000)));
  const outcomes = [{ kind: 'result', result: large.result }] as const;
  assert.ok(2 * answerBytes(large) > ANSWER_BYTES_MAX);
  const answers: Answer[] = [small, large, large, { kind: 'batch', outcomes }, small, { kind: 'close' }];
  assert.deepEqual(
    answers.map((it) => said(share.fit(it))),
    ['execute', 'execute', 'ANSWER_TOO_LARGE', 'ANSWER_TOO_LARGE', 'execute', 'close'],
  );
});

test('what clients do not take leaves others small answers, until it is gone', () => {
  const budget = new AnswerBudget(1_000_000);
  const large = answer(['x'.repeat(600_000)]);
  const [slow, other] = [new AnswerShare(budget), new AnswerShare(budget)];
  assert.equal(said(slow.fit(large)), 'execute');
  assert.deepEqual([said(other.fit(large)), said(other.fit(answer(['1'])))], ['SERVER_BUSY', 'execute']);
  slow[Symbol.dispose]();
  assert.equal(said(other.fit(large)), 'execute');
  other[Symbol.dispose]();
  assert.equal(budget.taken, 0);
});
