import { httpExchange } from '../../src/client/http/call.ts';
import { readPublicKey } from '../../src/client/trust/keys.ts';
import { openSource } from '../../src/open.ts';
import { hurried, keyOf, TestCenter } from '../support/dialled.ts';
import { APPLICATION, runRemoteCycle, type Transport } from '../support/remote-task.ts';

/** The task's side as a process: one cycle, then it ends. */
export type TaskChild = {
  readonly transport: Transport;
  readonly source: string;
  readonly tenant: string;
  /** Of the client that is called, or of the center that is dialled. */
  readonly port: number;
  readonly centerKey: string;
  readonly applicationKey: string;
  readonly hurry: number;
};

const child = JSON.parse(process.argv[2] ?? '') as TaskChild;
const clock = hurried(child.hurry);
const centerKey = keyOf(child.centerKey);
await using source = await openSource(child.source);
await using parts = new AsyncDisposableStack();

async function openExchange() {
  if (child.transport === 'http') return parts.use(httpExchange({ url: `http://127.0.0.1:${child.port}`, clock }));
  const center = parts.use(
    await TestCenter.start({
      center: centerKey,
      port: child.port,
      publicKeysOf: async () => [child.applicationKey],
      clock,
    }),
  );
  await center.connected(1);
  return center.clients.exchange(APPLICATION, child.applicationKey);
}

process.stdout.write('ready\n');
const exchange = await openExchange();
const { report } = await runRemoteCycle({
  source,
  exchange,
  tenant: child.tenant,
  signingKey: centerKey.private,
  clientPublicKey: readPublicKey(child.applicationKey),
  clock,
});
process.exitCode = report.status === 'completed' ? 0 : 1;
