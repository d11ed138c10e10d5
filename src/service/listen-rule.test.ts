import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopback, refuseInsecureListen } from './listen-rule.ts';

test('what only this machine reaches is loopback, and nothing else', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', 'LOCALHOST'])
    assert.ok(isLoopback(host), host);
  const elsewhere = [
    '0.0.0.0',
    '::',
    '',
    '10.0.0.1',
    '128.0.0.1',
    '127.0.0.1.example.com',
    'localhost.example.com',
    'fe80::1',
  ];
  for (const host of elsewhere) assert.ok(!isLoopback(host), host);
});

test('without TLS nothing listens beyond loopback unless it is said', () => {
  const listen = { host: '0.0.0.0', tls: false, insecure: false };
  assert.throws(() => refuseInsecureListen(listen), { code: 'INSECURE_LISTEN' });
  refuseInsecureListen({ ...listen, host: '127.0.0.1' });
  refuseInsecureListen({ ...listen, tls: true });
  refuseInsecureListen({ ...listen, insecure: true });
});
