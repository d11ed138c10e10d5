import { hostname } from 'node:os';
import { SpeilError } from './core/error.ts';
import { fillTemplate, refuseOtherPlaceholders } from './database/location-template.ts';
import type { MirrorDatabase, MirrorHolder } from './database/mirror-database.ts';
import { parseLocation } from './database/parse-location.ts';
import { openPostgresMirror } from './database/postgres/mirror.ts';
import {
  missingForProvision as missingForPostgres,
  provisioned as provisionedPostgres,
  provision as provisionPostgres,
} from './database/postgres/provision.ts';
import { openPostgresSource } from './database/postgres/source.ts';
import type { SourceDatabase } from './database/source-database.ts';
import { openSqliteMirror } from './database/sqlite/mirror.ts';
import {
  missingForProvision as missingForSqlite,
  provisioned as provisionedSqlite,
  provision as provisionSqlite,
} from './database/sqlite/provision.ts';
import { openSqliteSource } from './database/sqlite/source.ts';
import { systemClock } from './runtime/system-clock.ts';
import { systemRandom } from './runtime/system-random.ts';

export const runtime = { clock: systemClock, random: systemRandom };

/** Opens the database that the address names, as a source. */
export function openSource(address: string): Promise<SourceDatabase> {
  const location = parseLocation(address);
  return location.kind === 'postgres' ? openPostgresSource(location, runtime) : openSqliteSource(location, runtime);
}

/** `readOnly`: nothing is created or changed. `mayBeMissing`: a file that is not there looks like an empty mirror. */
export type MirrorOpening = { readonly tenant: string; readonly readOnly?: boolean; readonly mayBeMissing?: boolean };

/** Opens the database that the address names, as the mirror of a tenant. */
export function openMirror(address: string, options: MirrorOpening): Promise<MirrorDatabase> {
  const location = parseLocation(address);
  return location.kind === 'postgres'
    ? openPostgresMirror(location, options)
    : openSqliteMirror(location, { ...runtime, ...options });
}

/** Makes what has to be there before the address can be opened as a mirror: a database on its server, a folder. */
export async function provisionMirror(address: string): Promise<void> {
  const location = parseLocation(address);
  if (location.kind === 'postgres') await provisionPostgres(location, runtime);
  else await provisionSqlite(location);
}

/** Throws `USAGE` for an address that no tenant's mirror could have. Connects to nothing. */
export function refuseTemplate(template: string): void {
  refuseOtherPlaceholders(template);
  parseLocation(fillTemplate(template, 'tenant'));
}

/** SQLSTATE `too_many_connections`: of the server, the database or the role. */
const CONNECTIONS_TAKEN = '53300';

/** True when the mirror's server took one more connection if another were closed. */
export function isFull(error: unknown): boolean {
  const cause = error instanceof SpeilError ? error.cause : null;
  return cause instanceof Error && 'code' in cause && cause.code === CONNECTIONS_TAKEN;
}

/** What keeps us from that, as what to type; null when nothing does. Changes nothing. */
export async function missingForProvision(address: string): Promise<string | null> {
  const location = parseLocation(address);
  return location.kind === 'postgres' ? missingForPostgres(location) : missingForSqlite(location);
}

/** The tenants whose database is there, by the template of their addresses. */
export async function provisionedTenants(template: string): Promise<readonly string[]> {
  const location = parseLocation(template);
  return location.kind === 'postgres' ? provisionedPostgres(location) : provisionedSqlite(location);
}

/** Both ends of a task. */
export class Ends implements AsyncDisposable {
  readonly source: SourceDatabase;
  readonly mirror: MirrorDatabase;

  private constructor(source: SourceDatabase, mirror: MirrorDatabase) {
    this.source = source;
    this.mirror = mirror;
  }

  static async open(addresses: { source: string; mirror: string }, options: MirrorOpening): Promise<Ends> {
    await using opened = new AsyncDisposableStack();
    const source = opened.use(await openSource(addresses.source));
    const mirror = opened.use(await openMirror(addresses.mirror, options));
    if (source.instance === mirror.instance) {
      throw new SpeilError('SAME_DATABASE', `${source.display} cannot be a mirror of itself`, {
        hint: 'Name another database, or another file, as the mirror.',
      });
    }
    opened.move();
    return new Ends(source, mirror);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mirror[Symbol.asyncDispose]();
    await this.source[Symbol.asyncDispose]();
  }
}

export const thisProcess = (): MirrorHolder => ({
  pid: process.pid,
  host: hostname(),
  since: new Date(runtime.clock.now()).toISOString(),
});
