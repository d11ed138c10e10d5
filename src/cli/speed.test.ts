import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Speed } from './speed.ts';

test('a steady pace is told exactly, however often it is measured', () => {
  for (const stepMs of [10, 250, 1_000, 20_000]) {
    let speed = Speed.start(0);
    for (let ms = stepMs; ms <= 40_000; ms += stepMs) speed = Speed.add(speed, stepMs * 5, ms);
    assert.equal(Math.round(Speed.perSecond(speed)), 5_000);
  }
});

test('an old pace fades', () => {
  const fast = Speed.add(Speed.start(0), 10_000, 1_000);
  assert.ok(Speed.perSecond(Speed.add(fast, 0, 30_000)) < 100);
});

test('nothing measured is no rate', () => assert.equal(Speed.perSecond(Speed.start(5)), 0));
