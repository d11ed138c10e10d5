import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './system-clock.ts';

test('sleep ends after its time', async () => {
  const before = systemClock.monotonicMs();
  await systemClock.sleep(20);
  assert.ok(systemClock.monotonicMs() - before >= 19);
});

test('sleep is ended by its signal, with the reason of the signal', async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(sleeping, /enough/);
  await assert.rejects(systemClock.sleep(60_000, controller.signal), /enough/);
});

test('a sleep that is longer than a timer can hold does not end at once', async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(2 ** 40, controller.signal).then(
    () => 'woke',
    () => 'aborted',
  );
  await systemClock.sleep(10);
  controller.abort(new Error('enough'));
  assert.equal(await sleeping, 'aborted');
});
