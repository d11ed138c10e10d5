import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { Log } from '../../service/log.ts';
import { createHranaServer } from '../hrana/server.ts';
import type { SqlDatabase } from '../sql.ts';
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
    answerVersionCheck: (request, response, path) =>
      void hrana.handle(request, response, { database: NO_DATABASE, access: 'read', identity: '', path }),
    answer: ({ request, response, ...context }) => hrana.handle(request, response, context),
    upgrade: ({ request, socket, head, ...context }) => hrana.accept(request, socket, head, context),
    [Symbol.asyncDispose]: () => hrana.close(),
  };
}

/** For questions that are about no database. */
const NO_DATABASE: SqlDatabase = {
  name: '',
  openStream: () => {
    throw new SpeilError('INTERNAL', 'a stream was opened where there is no database');
  },
};
