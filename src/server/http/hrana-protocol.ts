import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../core/clock.ts';
import type { Log } from '../../service/log.ts';
import { isHranaPath } from '../hrana/http-requests.ts';
import { createHranaServer } from '../hrana/server.ts';
import type { ClientProtocol } from './client-protocol.ts';

export type HranaParts = { readonly clock: Clock; readonly random: Random; readonly log: Log };

const SECRET_BYTES = 32;

/** The clients' protocol. Batons of a server that was started anew are void: its streams are gone. */
export function createHranaProtocol({ clock, random, log }: HranaParts): ClientProtocol {
  const hrana = createHranaServer({
    clock,
    random,
    secret: randomBytes(SECRET_BYTES),
    onDefect: (error) => log.error({ error }, 'a request of a client failed, and it is not the client’s fault'),
  });
  return {
    answerVersionCheck: (response, path) => void response.writeHead(isHranaPath(path) ? 200 : 404).end(),
    answer: ({ request, response, ...context }) => hrana.handle(request, response, context),
    upgrade: ({ socket }) => socket.destroy(),
    [Symbol.asyncDispose]: () => hrana.close(),
  };
}
