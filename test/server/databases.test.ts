import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startShell } from '../support/shell-server.ts';

const call = async (url: string, path: string, init: RequestInit = {}) => {
  const response = await fetch(new URL(path, url), init);
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text) };
};

const create = (url: string, name: string) =>
  call(url, '/admin/databases', { method: 'POST', body: JSON.stringify({ name }) });

test('databases are made, listed, used and dropped', async () => {
  await using server = await startShell();
  const { url } = server;
  assert.deepEqual(await call(url, '/healthz'), { status: 200, body: { status: 'ok' } });
  assert.deepEqual(await call(url, '/admin/databases'), { status: 200, body: [] });
  assert.partialDeepStrictEqual(await call(url, '/v3/pipeline', { method: 'POST' }), {
    status: 404,
    body: { code: 'NOT_FOUND' },
  });
  assert.partialDeepStrictEqual(await create(url, 'shop'), { status: 201, body: { name: 'shop', state: 'running' } });
  assert.partialDeepStrictEqual(await create(url, 'shop'), { status: 409, body: { code: 'CONFLICT' } });
  const used = { database: 'shop', access: 'write', identity: '', path: '/v3/pipeline', bytes: 0 };
  assert.deepEqual(await call(url, '/v3/pipeline', { method: 'POST' }), { status: 200, body: used });
  assert.deepEqual(await call(url, '/shop/v3/pipeline', { method: 'POST' }), { status: 200, body: used });
  await create(url, 'hr');
  assert.partialDeepStrictEqual(await call(url, '/v3/pipeline', { method: 'POST' }), { status: 404 });
  assert.deepEqual(
    (await call(url, '/admin/databases')).body.map(({ name }: { name: string }) => name),
    ['hr', 'shop'],
  );
  assert.deepEqual(await call(url, '/admin/databases/hr', { method: 'DELETE' }), { status: 204, body: null });
  assert.partialDeepStrictEqual(await call(url, '/admin/databases/hr', { method: 'DELETE' }), { status: 404 });
  assert.partialDeepStrictEqual(await call(url, '/readyz'), { status: 200, body: { status: 'ready' } });
});
