import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../core/clock.ts';
import { createLog } from './log.ts';

const clock: Clock = { now: () => Date.UTC(2026, 10, 22, 1, 2, 3), monotonicMs: () => 0, sleep: async () => {} };
const redact = (text: string) => text.replaceAll('hunter2', '***');

function logged(form: 'json' | 'words'): {
  readonly lines: string[];
  readonly log: ReturnType<typeof createLog>;
} {
  const lines: string[] = [];
  return { lines, log: createLog({ write: (text) => void lines.push(text), clock, redact, form }) };
}

test('in a pipe each entry is a line of JSON with its time, level and fields', () => {
  const { lines, log } = logged('json');
  log.warn({ tenant: 'acme', run: 'r1', bytes: 12n }, 'slow');
  assert.equal(lines.length, 1);
  assert.deepEqual(JSON.parse(lines[0] ?? ''), {
    level: 'warn',
    time: '2026-11-22T01:02:03.000Z',
    tenant: 'acme',
    run: 'r1',
    bytes: '12',
    msg: 'slow',
  });
});

test('on a terminal an entry is words, and stays one line', () => {
  const { lines, log } = logged('words');
  log.error({ tenant: 'acme', application: 'crm', run: 'r1', error: 'no\nway' }, 'the cycle failed');
  log.info({}, 'listening');
  assert.deepEqual(lines, [
    '01:02:03 error: acme/crm the cycle failed error="no\\nway" run=r1\n',
    '01:02:03 listening\n',
  ]);
});

for (const form of ['json', 'words'] as const) {
  test(`no secret comes through, wherever in what is logged it stands (${form})`, () => {
    const { lines, log } = logged(form);
    log.info({ error: new Error('hunter2'), deep: { list: ['a', { b: 'hunter2' }] }, text: 'x hunter2' }, 'hunter2');
    const text = lines.join('');
    assert.ok(!text.includes('hunter2'), text);
    assert.equal(text.split('***').length - 1, 4);
  });
}

test('an object that holds itself is cut off', () => {
  const { lines, log } = logged('json');
  const loop: Record<string, unknown> = {};
  loop['loop'] = loop;
  log.info({ loop }, 'round');
  assert.match(lines.join(''), /…/);
});

test('on a terminal nothing that is logged begins a line of its own or commands the terminal', () => {
  const { lines, log } = logged('words');
  log.warn({ application: 'a\n01:00:00 b', from: '\u001b[2J' }, 'refused a client: \u001b]0;x\u0007\r\nerror: y');
  assert.equal(lines.length, 1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
  assert.doesNotMatch(lines[0]?.slice(0, -1) ?? '', /[\u0000-\u001f\u007f-\u009f]/);
  assert.ok(lines[0]?.includes(String.raw`refused a client: \x1b]0;x\x07`));
});
