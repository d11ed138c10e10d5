import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyCredentials, proxyDisplay, proxyFor, proxyFromEnvironment } from './proxy.ts';

const through = (noProxy: string, host: string, port = 443): boolean =>
  proxyFor(host, port, { url: 'http://proxy:3128', noProxy }) !== null;

test('NO_PROXY names hosts that are reached directly', () => {
  assert.ok(through('', 'center.example.com'));
  assert.ok(!through('center.example.com', 'center.example.com'));
  assert.ok(!through('example.com', 'center.example.com'), 'and all below them');
  assert.ok(!through('.example.com', 'center.example.com'));
  assert.ok(!through('*.example.com', 'center.example.com'));
  assert.ok(!through('EXAMPLE.com', 'Center.Example.com'));
  assert.ok(through('ample.com', 'center.example.com'), 'only whole labels');
  assert.ok(!through('other, example.com', 'center.example.com'));
  assert.ok(!through('*', 'center.example.com'));
  assert.ok(!through('center:8500', 'center', 8500));
  assert.ok(through('center:8500', 'center', 443));
  assert.ok(!through('127.0.0.1,::1', '::1'));
  assert.ok(!through('[::1]:8500', '::1', 8500));
});

test('the variable for the scheme of the center counts, in either case', () => {
  const environment = { HTTPS_PROXY: 'http://a:1', http_proxy: 'http://b:2', NO_PROXY: 'x' };
  assert.deepEqual(proxyFromEnvironment(environment, 'https://center'), { url: 'http://a:1', noProxy: 'x' });
  assert.deepEqual(proxyFromEnvironment(environment, 'ws://center'), { url: 'http://b:2', noProxy: 'x' });
  assert.equal(proxyFromEnvironment({ HTTPS_PROXY: '' }, 'https://center'), undefined);
  assert.deepEqual(proxyFromEnvironment({ ALL_PROXY: 'p:3' }, 'wss://center'), { url: 'p:3', noProxy: undefined });
});

test('user and password go to the proxy and nowhere else', () => {
  const proxy = proxyFor('center', 443, { url: 'http://me:se%40cret@proxy:3128' });
  assert.ok(proxy);
  assert.equal(proxyCredentials(proxy), `Basic ${Buffer.from('me:se@cret').toString('base64')}`);
  assert.equal(proxyDisplay(proxy), 'http://proxy:3128');
  assert.throws(
    () => proxyFor('center', 443, { url: 'socks5://me:secret@proxy' }),
    (error: Error) => /proxy is none/.test(error.message) && !JSON.stringify(error).includes('secret'),
  );
});

test('an address without a scheme is one of http', () => {
  assert.equal(proxyFor('center', 443, { url: 'proxy:3128' })?.port, '3128');
  assert.equal(proxyFor('center', 443, undefined), null);
});
