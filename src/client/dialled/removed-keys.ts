import type { Clock } from '../../core/clock.ts';
import { keyId, readPublicKey } from '../trust/keys.ts';
import { type Channel, CLOSE_CODES } from './channel.ts';
import { KEYS_CHECK_MS } from './limits.ts';

/** A client that is there, and what it proved to have. */
export type Admitted = { readonly channel: Channel; readonly application: string; readonly keyId: string };

export type KeysWatch = {
  readonly admitted: () => readonly Admitted[];
  readonly publicKeysOf: (application: string) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

/** Closes, until it is aborted, the connections of clients whose key no mirror of their application has any more. */
export async function closeRemovedKeys(watch: KeysWatch): Promise<void> {
  const { admitted, clock, signal } = watch;
  for (;;) {
    await clock.sleep(KEYS_CHECK_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    for (const application of new Set(admitted().map((client) => client.application))) await check(watch, application);
  }
}

async function check({ admitted, publicKeysOf }: KeysWatch, application: string): Promise<void> {
  const asked = admitted();
  const known = await idsOf(publicKeysOf, application);
  if (known === null) return;
  const removed = asked.filter((client) => client.application === application && !known.includes(client.keyId));
  for (const { channel } of removed) {
    channel.close(CLOSE_CODES.refused, `key: no mirror of ${application} has this client's key any more`);
  }
}

/** Null when they cannot be had just now: nobody is sent away for that. */
async function idsOf(publicKeysOf: KeysWatch['publicKeysOf'], application: string): Promise<readonly string[] | null> {
  try {
    return (await publicKeysOf(application)).map((pem) => keyId(readPublicKey(pem)));
  } catch {
    return null;
  }
}
