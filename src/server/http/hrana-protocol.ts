import type { ServerResponse } from 'node:http';
import { SpeilError } from '../../core/error.ts';
import type { ClientProtocol, ProtocolRequest, ProtocolUpgrade } from './client-protocol.ts';

/** The clients' protocol. */
export const createHranaProtocol = (): ClientProtocol => ({
  answerVersionCheck: (response: ServerResponse) => void response.writeHead(404).end(),
  answer: (_request: ProtocolRequest) => Promise.reject(notBuilt()),
  upgrade: ({ socket }: ProtocolUpgrade) => socket.destroy(),
  [Symbol.asyncDispose]: async () => {},
});

const notBuilt = (): SpeilError => new SpeilError('INTERNAL', 'the protocol is not part of this build');
