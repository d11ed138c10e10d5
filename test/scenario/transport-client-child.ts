import type { CallHandler, CallName } from '../../src/client/exchange.ts';
import { readPrivateKey, readPublicKey } from '../../src/client/trust/keys.ts';
import { hurried } from '../support/dialled.ts';
import { startClient, type Transport } from '../support/remote-task.ts';

/** When the process kills itself: at the nth call of this name, before it is worked on or before it is answered. */
export type Death = { readonly call: CallName; readonly nth: number; readonly when: 'before' | 'after' };

export type ClientChild = {
  readonly transport: Transport;
  readonly mirrors: string;
  readonly centerUrl: string;
  readonly applicationKey: string;
  readonly centerKey: string;
  readonly hurry: number;
  readonly death: Death | null;
};

const child = JSON.parse(process.argv[2] ?? '') as ClientChild;
let calls = 0;

const around =
  (handler: CallHandler): CallHandler =>
  async (request) => {
    const isLast = request.call === child.death?.call && ++calls === child.death.nth;
    if (isLast && child.death?.when === 'before') process.kill(process.pid, 'SIGKILL');
    const answer = await handler(request);
    if (isLast) process.kill(process.pid, 'SIGKILL');
    return answer;
  };

const client = await startClient(
  {
    transport: child.transport,
    mirrors: child.mirrors,
    centerUrl: child.centerUrl,
    clock: hurried(child.hurry),
    trust: {
      application: { private: readPrivateKey(child.applicationKey) },
      center: { public: readPublicKey(child.centerKey) },
    },
  },
  around,
);
process.stdout.write(`${client.port}\n`);
