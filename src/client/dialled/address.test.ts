import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeilError } from '../../core/error.ts';
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

test('what is no address of a center is repeated with what is wrong about it, and without secrets', () => {
  const refusalOf = (text: string): string => {
    try {
      readCenterAddress(text, false);
    } catch (error) {
      if (error instanceof SpeilError) return `${error.code} ${error.message} | ${error.hint}`;
    }
    return 'not refused';
  };
  for (const [text, pattern] of [
    ['', /"" is no address of a center: it is empty \| --center https:/],
    ['127.0.0.1:8511', /"127.0.0.1:8511" .*http:\/\/ is missing.* --center http:\/\/127.0.0.1:8511$/],
    ['center.example.com', /https:\/\/ is missing.* --center https:\/\/center.example.com$/],
    ['center.example.com:8500', /https:\/\/ is missing.* --center https:\/\/center.example.com:8500$/],
    ['me:secret@center', /"…@center" .*https:\/\/ is missing/],
    ['https://me:secret@center', /"https:\/\/…@center" .*no login/],
    ['https://me:se/secret@b@center', /"https:\/\/…@center" .*no login/],
    ['ftp://center', /ftp:\/\/ is not how/],
    ['https://center:99999', /:99999" .*port is no number from 1 to 65535/],
    ['https://center:0', /port is no number/],
    ['https://center:port/x', /port is no number/],
    ['https://[::1]:99999', /port is no number/],
    ['https://center:8500/?token=secret', /8500\/\?…" .*before \? and #/],
    ['https://center/?token=a@secret', /"https:\/\/…" /],
    ['https://me:secret?x@center', /"https:\/\/…" /],
    ['https://center#secret', /before \? and #/],
    ['https://', /host name is none/],
    ['https://a b', /host name is none/],
  ] as const) {
    const refusal = refusalOf(text);
    assert.match(refusal, /^USAGE /);
    assert.match(refusal, pattern);
    assert.ok(!refusal.includes('secret'), refusal);
  }
});
