import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { SpeilError } from '../../core/error.ts';
import { BodyBudget, readBody } from './read-body.ts';

/** Answers with the body's length, or the code of what was wrong. */
async function posted(bodies: readonly (Buffer | ReadableStream)[], bytesMax: number, budget: BodyBudget) {
  const server = createServer((request, response) => {
    readBody(request, bytesMax, budget)
      .then(({ length }) => `${length}`)
      .catch((error: unknown) => (error instanceof SpeilError ? error.code : String(error)))
      .then(async (answer) => {
        if (!request.complete) await once(request.resume(), 'end');
        response.end(answer);
      });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const post = async (body: Buffer | ReadableStream) => {
    const response = await fetch(url, { method: 'POST', body: body as ReadableStream, duplex: 'half' });
    return await response.text();
  };
  const answers = await Promise.all(bodies.map(post));
  server.closeAllConnections();
  server.close();
  return answers;
}

/** A body without a length. */
const streamed = (...pieces: readonly Buffer[]) => ReadableStream.from(pieces);

test('a body is read whole, up to its bound', async () => {
  const budget = new BodyBudget(1_000_000);
  const bodies = [Buffer.alloc(0), Buffer.alloc(1_000), streamed(Buffer.alloc(600), Buffer.alloc(400))];
  assert.deepEqual(await posted(bodies, 1_000, budget), ['0', '1000', '1000']);
  const large = [Buffer.alloc(1_001), streamed(Buffer.alloc(600), Buffer.alloc(401))];
  assert.deepEqual(await posted(large, 1_000, budget), ['REQUEST_TOO_LARGE', 'REQUEST_TOO_LARGE']);
  assert.equal(budget.taken, 0);
});

test('bodies together have a bound, too', async () => {
  const budget = new BodyBudget(1_000);
  assert.deepEqual(await posted([streamed(Buffer.alloc(900), Buffer.alloc(200))], 10_000, budget), ['SERVER_BUSY']);
  assert.deepEqual(await posted([streamed(Buffer.alloc(900), Buffer.alloc(100))], 10_000, budget), ['1000']);
  assert.equal(budget.taken, 0);
});
