import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { tenantIn } from '../location-template.ts';
import { PostgresConnection, type PostgresLocation } from './connection.ts';
import { ident } from './sql.ts';

/** PostgreSQL cuts longer names, and two tenants could end up in one database. */
const NAME_BYTES_MAX = 63;
/** While somebody is connected to the template database nothing can be made of it. That passes in moments, or a person has to see. */
const TEMPLATE_BUSY_ATTEMPTS_MAX = 20;
const TEMPLATE_BUSY_DELAY_MS = 250;

/** SQLSTATEs of CREATE DATABASE. */
const DUPLICATE_DATABASE = '42P04';
/** Two sessions made it at the same moment. */
const UNIQUE_VIOLATION = '23505';
const OBJECT_IN_USE = '55006';

/** Creates the database unless it is there. Any number of sessions may try at once: it is created once. */
export async function provision(location: PostgresLocation, { clock }: { readonly clock: Clock }): Promise<void> {
  const name = databaseOf(location.url);
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw nameTooLong(name);
  await using connection = await openMaintenance(location);
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.query(`CREATE DATABASE ${ident(name)}`);
      return;
    } catch (error) {
      const state = sqlState(error);
      if (state === DUPLICATE_DATABASE || state === UNIQUE_VIOLATION) return;
      if (state !== OBJECT_IN_USE || attempt >= TEMPLATE_BUSY_ATTEMPTS_MAX)
        throw await explained(connection, name, error);
    }
    await clock.sleep(TEMPLATE_BUSY_DELAY_MS);
  }
}

/** The tenants whose database is there, by the template of their addresses. Makes nothing. */
export async function provisioned(location: PostgresLocation): Promise<readonly string[]> {
  await using connection = await openMaintenance(location);
  const rows = await connection.query<{ name: string }>(
    'SELECT datname AS name FROM pg_database WHERE datallowconn AND NOT datistemplate',
  );
  const part = databaseOf(location.url);
  return rows
    .map(({ name }) => tenantIn(part, name))
    .filter((tenant) => tenant !== null)
    .toSorted();
}

/** What keeps this login from creating it, as a statement that changes that; null when nothing does. Changes nothing. */
export async function missingForProvision(location: PostgresLocation): Promise<string | null> {
  await using connection = await openMaintenance(location);
  const { may, me } = await connection.one<{ may: boolean; me: string }>(
    'SELECT rolcreatedb OR rolsuper AS may, rolname AS me FROM pg_roles WHERE rolname = current_user',
  );
  return may ? null : `ALTER ROLE ${ident(me)} CREATEDB;`;
}

const URL_PARTS = /^(\w+:\/\/[^/?#]*)(?:\/([^?#]*))?(\?.*)?$/s;

/** A broken name is said by whoever opens the address. */
const databaseOf = (url: string): string => decodeURIComponent(URL_PARTS.exec(url)?.[2] ?? '');

const withDatabase = (url: string, name: string): string =>
  url.replace(
    URL_PARTS,
    (_, server: string, __, query: string = '') => `${server}/${encodeURIComponent(name)}${query}`,
  );

/** A database that is there before any tenant's: `postgres`, or where it was dropped the login's own. */
async function openMaintenance(location: PostgresLocation): Promise<PostgresConnection> {
  const open = (url: string) => PostgresConnection.open({ ...location, url }, 'speil mirror: provisioning');
  try {
    return await open(withDatabase(location.url, 'postgres'));
  } catch (error) {
    if (
      !(error instanceof SpeilError) ||
      !['DATABASE_MISSING', 'PRIVILEGE_MISSING', 'AUTHENTICATION_REFUSED'].includes(error.code)
    )
      throw error;
    return open(withDatabase(location.url, loginOf(location.url)));
  }
}

const loginOf = (url: string): string =>
  decodeURIComponent(/^\w+:\/\/([^/?#:@]*)[^/?#]*@/.exec(url)?.[1] ?? 'postgres');

function sqlState(error: unknown): string {
  const cause = error instanceof SpeilError ? error.cause : error;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}

async function explained(connection: PostgresConnection, name: string, cause: unknown): Promise<unknown> {
  if (!(cause instanceof SpeilError) || cause.code !== 'PRIVILEGE_MISSING') return cause;
  const { me } = await connection.one<{ me: string }>('SELECT current_user AS me');
  return new SpeilError(
    'PRIVILEGE_MISSING',
    `${connection.display}: the login ${me} may not create the database ${name}`,
    {
      hint: `ALTER ROLE ${ident(me)} CREATEDB; or CREATE DATABASE ${ident(name)} OWNER ${ident(me)};`,
      cause,
    },
  );
}

const nameTooLong = (name: string): SpeilError =>
  new SpeilError('USAGE', `the database name ${name} is longer than ${NAME_BYTES_MAX} bytes`, {
    hint: 'Shorten what stands around {tenant} in the address of the mirrors.',
  });
