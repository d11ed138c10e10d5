import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCenterAddress } from './address.ts';

test('an address of a center, in each of its forms', () => {
  const read = (text: string, insecure = false) => {
    const { url, port, host, isSecure } = readCenterAddress(text, insecure);
    return [url, host, port, isSecure];
  };
  assert.deepEqual(read('https://center.example.com'), [
    'wss://center.example.com/v1/clients',
    'center.example.com',
    443,
    true,
  ]);
  assert.deepEqual(read('wss://center:8500/'), ['wss://center:8500/v1/clients', 'center', 8500, true]);
  assert.deepEqual(read('https://center/speil/'), ['wss://center/speil/v1/clients', 'center', 443, true]);
  assert.deepEqual(read('http://127.0.0.1:8500'), ['ws://127.0.0.1:8500/v1/clients', '127.0.0.1', 8500, false]);
  assert.deepEqual(read('ws://[::1]:8500'), ['ws://[::1]:8500/v1/clients', '::1', 8500, false]);
  assert.deepEqual(read('http://center', true), ['ws://center/v1/clients', 'center', 80, false]);
});

test('beyond this machine there is no way without TLS, unless told so', () => {
  assert.throws(() => readCenterAddress('http://center.example.com', false), /without TLS/);
  assert.throws(() => readCenterAddress('ws://127.0.0.1.example.com', false), /without TLS/);
});

test('what is no address is refused, and not repeated when it may hold a password', () => {
  for (const text of ['center:8500', 'ftp://center', '', 'https://me:secret@center']) {
    assert.throws(
      () => readCenterAddress(text, false),
      (error: Error) => /none/.test(error.message) && !error.message.includes('secret'),
    );
  }
});
