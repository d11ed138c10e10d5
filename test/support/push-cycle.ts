import type { Exchange } from '../../src/client/exchange.ts';
import { httpExchange } from '../../src/client/http/call.ts';
import { createRemoteClient } from '../../src/client/remote-client.ts';
import { readPrivateKey, readPublicKey } from '../../src/client/trust/keys.ts';
import { openSource, runtime } from '../../src/open.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT } from '../../src/task/preferences.ts';
import type { CycleReport, TaskEvent } from '../../src/task/report.ts';

export type Push = {
  /** Of a mirror client that listens, or whatever else reaches one. */
  readonly to: string | Exchange;
  readonly source: string;
  readonly tenant: string;
  readonly application: string;
  /** PEM of the center's private key. */
  readonly centerKey: string;
  /** PEM of the application's public key. */
  readonly applicationKey: string;
  readonly batchBytes?: number;
  /** Ends a task that would try again. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TaskEvent) => void;
};

/** One cycle of a task of its own, as a center would run it. */
export async function pushCycle(push: Push): Promise<CycleReport> {
  await using opened = new AsyncDisposableStack();
  const { clock } = runtime;
  const exchange = typeof push.to === 'string' ? opened.use(httpExchange({ url: push.to, clock })) : push.to;
  const source = opened.use(await openSource(push.source));
  const client = createRemoteClient({
    exchange,
    tenant: push.tenant,
    application: push.application,
    signingKey: readPrivateKey(push.centerKey),
    clientPublicKey: readPublicKey(push.applicationKey),
    clock,
  });
  const context = {
    ...runtime,
    source,
    client,
    tenant: push.tenant,
    preferences: { ...PREFERENCES_DEFAULT, batchBytes: push.batchBytes ?? PREFERENCES_DEFAULT.batchBytes },
    selection: { schemas: null },
    takeOver: false,
    emit: push.onEvent ?? (() => undefined),
    signal: push.signal ?? new AbortController().signal,
  };
  return await runTask(context, { kind: 'once' });
}
