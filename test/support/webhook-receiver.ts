import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export type ReceivedPost = {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

/** `hang`: no answer at all. */
export type ReceiverAnswer = number | 'hang';

/** A web server that notes what is posted to it. `answers` are given in their order, then 204 to everything. */
export type WebhookReceiver = AsyncDisposable & {
  readonly url: string;
  readonly posts: readonly ReceivedPost[];
  readonly answers: ReceiverAnswer[];
};

export async function startReceiver(...answers: ReceiverAnswer[]): Promise<WebhookReceiver> {
  const posts: ReceivedPost[] = [];
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    posts.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(pieces).toString('utf8') });
    const answer = answers.shift() ?? 204;
    if (answer !== 'hang') response.writeHead(answer, { location: '/elsewhere' }).end('thanks '.repeat(1_000));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    posts,
    answers,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
