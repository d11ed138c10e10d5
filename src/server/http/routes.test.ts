import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isVersionCheck, routeOf } from './routes.ts';

const client = (database: string | null, path: string) => ({ kind: 'client', database, path });

test('what paths ask for', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['/healthz', { kind: 'health' }],
    ['/readyz?x=1', { kind: 'ready' }],
    ['/metrics', { kind: 'metrics' }],
    ['/admin/databases/shop/backup', { kind: 'admin', parts: ['databases', 'shop', 'backup'] }],
    ['/', client(null, '/')],
    ['/v2', client(null, '/v2')],
    ['/v2/pipeline', client(null, '/v2/pipeline')],
    ['/v3-protobuf/cursor', client(null, '/v3-protobuf/cursor')],
    ['/shop/', client('shop', '/')],
    ['/shop/v3', client('shop', '/v3')],
    ['/shop/v3/pipeline?a', client('shop', '/v3/pipeline')],
  ];
  for (const [path, route] of cases) assert.deepEqual(routeOf(path), route, path);
});

test('what leads nowhere', () => {
  const paths = ['', '*', '/shop', '//v2', '/shop//v2', '/../v2', '/shop/../v2/pipeline', '/%2e%2e/v2', '/Shop/v2'];
  const more = ['/admin', '/admin/', '/admin/a//b', '/admin/../x', '/v2/', '/healthz/', '/shop/x/v2'];
  for (const path of [...paths, ...more, '/a/b', 'http://elsewhere/v2', `/${'a'.repeat(300)}/v2`])
    assert.deepEqual(routeOf(path), { kind: 'none' }, path);
});

test('asking for a version is not asking for anything else', () => {
  assert.ok(isVersionCheck('GET', '/v3-protobuf'));
  for (const [method, path] of [
    ['POST', '/v3'],
    ['GET', '/v3/pipeline'],
    ['GET', '/'],
  ] as const)
    assert.ok(!isVersionCheck(method, path), path);
});
