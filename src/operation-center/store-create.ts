import type { Clock, Random } from '../core/clock.ts';
import type { CenterDatabase } from './database.ts';
import { checkSecrets, resealSecrets } from './key-check.ts';
import type { Secrets } from './secrets.ts';
import type { Store } from './store.ts';
import { alertStore } from './store-alerts.ts';
import { eventStore } from './store-events.ts';
import { mirrorStore } from './store-mirrors.ts';
import { retentionStore } from './store-retention.ts';
import { runStore } from './store-runs.ts';
import { scheduleStore } from './store-schedules.ts';
import { settingsStore } from './store-settings.ts';
import type { StoreParts } from './store-sql.ts';
import { tenantStore } from './store-tenants.ts';
import { tokenStore } from './store-tokens.ts';

export type StoreOptions = {
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'uuid'>;
  readonly secrets: Secrets;
};

/**
 * The store in a database that `openCenterDatabase` opened; whoever opened it closes it. Before the first secret is read or
 * written the keys are checked ({@link prepareSecrets}).
 */
export function createStore(database: CenterDatabase, { clock, random, secrets }: StoreOptions): Store {
  const prepared = once(() => prepareSecrets(database, secrets));
  const parts: StoreParts = {
    database,
    clock,
    random,
    secrets: async () => {
      await prepared();
      return secrets;
    },
  };
  return {
    ...settingsStore(parts),
    ...tenantStore(parts),
    ...mirrorStore(parts),
    ...scheduleStore(parts),
    ...runStore(parts),
    ...eventStore(parts),
    ...tokenStore(parts),
    ...alertStore(parts),
    ...retentionStore(parts),
  };
}

/**
 * Throws `CENTER_DATABASE_FAILED` when the keys are not those that the database was written with. What an earlier one of
 * several keys sealed is sealed with the first. A service calls this when it starts, so that a wrong key is told then.
 */
export async function prepareSecrets(database: CenterDatabase, secrets: Secrets): Promise<void> {
  await checkSecrets(database, secrets);
  await resealSecrets(database, secrets);
}

/** Done once; again only after it failed. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= work().catch((error: unknown) => {
      done = null;
      throw error;
    });
    return done;
  };
}
