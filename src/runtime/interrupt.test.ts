import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { SpeilError } from '../core/error.ts';
import { listenForInterrupts } from './interrupt.ts';

function listen() {
  const signals = new EventEmitter();
  const exits: number[] = [];
  const now = { ms: 0, first: 0 };
  const interrupt = listenForInterrupts({
    signals,
    clock: { monotonicMs: () => now.ms },
    onFirst: () => {
      now.first += 1;
    },
    exit: (code) => void exits.push(code),
  });
  return { signals, exits, now, interrupt };
}

test('the first signal aborts, the second exits with 130', () => {
  const { signals, exits, now, interrupt } = listen();
  signals.emit('SIGINT');
  const { reason } = interrupt.signal;
  assert.ok(reason instanceof SpeilError && reason.code === 'INTERRUPTED');
  assert.deepEqual([now.first, exits], [1, []]);
  now.ms = 1000;
  signals.emit('SIGTERM');
  assert.deepEqual([now.first, exits], [1, [130]]);
});

test('one press that arrives three times is one', () => {
  const { signals, exits, now } = listen();
  for (const ms of [0, 2, 40]) {
    now.ms = ms;
    signals.emit('SIGINT');
  }
  assert.deepEqual([now.first, exits], [1, []]);
});

test('nothing listens after it is disposed', () => {
  const { signals, interrupt } = listen();
  interrupt[Symbol.dispose]();
  assert.equal(signals.listenerCount('SIGINT') + signals.listenerCount('SIGTERM'), 0);
});
