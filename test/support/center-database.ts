import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe } from 'node:test';
import { type CenterDatabase, openCenterDatabase } from '../../src/operation-center/database.ts';
import { openSecrets } from '../../src/operation-center/secrets.ts';
import type { Store } from '../../src/operation-center/store.ts';
import { createStore } from '../../src/operation-center/store-create.ts';
import { systemRandom as random } from '../../src/runtime/system-random.ts';
import { prepareCenterDatabase } from './center-template.ts';
import { sharedPostgres } from './shared-postgres.ts';

export const NOON_MS = Date.parse('2026-03-01T12:00:00Z');

export const CENTER_DATABASES = ['pglite', 'postgres'] as const;

/** A folder that is removed with the test. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'speil-center-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A store over a database of its own, and a clock that stands still unless it is moved. */
export type TestStore = AsyncDisposable & {
  readonly store: Store;
  readonly database: CenterDatabase;
  readonly folder: string;
  /** Milliseconds since 1970; the test may change it. */
  readonly clock: { nowMs: number };
  /** Another store over the same database: the same connection of PGlite, another pool of a server. */
  another(): Promise<Store>;
};

export async function openTestStore(kind: (typeof CENTER_DATABASES)[number]): Promise<TestStore> {
  await using opened = new AsyncDisposableStack();
  const folder = opened.use(temporaryFolder()).path;
  const clock = { nowMs: NOON_MS };
  const now = () => clock.nowMs;
  if (kind === 'pglite') await prepareCenterDatabase(folder);
  const location =
    kind === 'pglite' ? { dataFolder: folder } : { address: await (await sharedPostgres()).createDatabase() };
  const database = opened.use(await openCenterDatabase(location, { now }));
  const secrets = openSecrets({ dataFolder: folder });
  const ends = opened.move();
  const over = (through: CenterDatabase) => createStore(through, { clock: { now }, random, secrets });
  return {
    store: over(database),
    database,
    folder,
    clock,
    another: async () => over(kind === 'pglite' ? database : ends.use(await openCenterDatabase(location, { now }))),
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}

/** Describes the same tests over PGlite and over a server; each begins with an empty store and the clock at noon. */
export function overBothDatabases(describeTests: (store: () => TestStore) => void): void {
  for (const kind of CENTER_DATABASES) {
    describe(kind, () => {
      let opened: TestStore | null = null;
      const store = (): TestStore => {
        if (opened === null) throw new Error('the store is opened before the tests');
        return opened;
      };
      before(async () => {
        opened = await openTestStore(kind);
      });
      after(() => opened?.[Symbol.asyncDispose]());
      beforeEach(async () => {
        store().clock.nowMs = NOON_MS;
        await store().database.exec(
          'DELETE FROM speil_center.tenant; DELETE FROM speil_center.token; DELETE FROM speil_center.event; UPDATE speil_center.settings SET maintenance = false, quiet_hours = NULL, webhook = NULL',
        );
      });
      describeTests(store);
    });
  }
}
