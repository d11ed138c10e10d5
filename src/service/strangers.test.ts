import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf } from './strangers.ts';

test('addresses that one holder has together count as one', () => {
  assert.equal(networkOf('192.0.2.7'), '192.0.2.7');
  assert.equal(networkOf('::ffff:192.0.2.7'), '::ffff:192.0.2.7');
  assert.equal(networkOf('::1'), '0:0:0:0');
  assert.equal(networkOf('2001:db8::'), '2001:db8:0:0');
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), networkOf('2001:db8:1:2::9'));
  assert.notEqual(networkOf('2001:db8:1:2::9'), networkOf('2001:db8:1:3::9'));
});
