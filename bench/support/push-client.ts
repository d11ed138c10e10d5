import { once } from 'node:events';
import { serveClient } from '../../src/client-service.ts';

/** What a {@link PushClient} is told when it starts. */
export type PushClientSettings = {
  readonly mirror: string;
  readonly applicationKey: string;
  readonly centerPublicKey: string;
  readonly tls: { readonly cert: string; readonly key: string } | null;
};

/** The process of a mirror client: serves until its parent disconnects. */
const [settings] = (await once(process, 'message')) as [PushClientSettings];
await using server = await serveClient({
  mirror: settings.mirror,
  application: 'bench',
  keys: [settings.applicationKey],
  trust: [settings.centerPublicKey],
  listen: { host: '127.0.0.1', port: 0 },
  tls: settings.tls ?? undefined,
});
process.send?.({ url: server.url });
await once(process, 'disconnect');
