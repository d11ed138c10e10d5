import { SpeilError } from '../core/error.ts';
import type { ClientTransport, Mirror } from './model.ts';
import type { NewMirror, Store } from './store.ts';
import {
  assignments,
  conflict,
  instant,
  instead,
  json,
  notFound,
  nowIso,
  queryList,
  type StoredRow,
  type StoreParts,
  storable,
} from './store-sql.ts';
import { noTenant } from './store-tenants.ts';

/** Of the table `mirror`, by that name. */
export const MIRROR_COLUMNS = ['id', 'tenant', 'application', 'public_key', 'transport', 'every_ms', 'created_at'].map(
  (column) => `mirror.${column}`,
);

const COLUMNS = MIRROR_COLUMNS.join(', ');

export const mirrorOf = (row: StoredRow): Mirror => ({
  id: String(row['id']),
  tenant: String(row['tenant']),
  application: String(row['application']),
  publicKey: String(row['public_key']),
  transport: row['transport'] as ClientTransport,
  everyMs: Number(row['every_ms']),
  createdAt: instant(row['created_at']),
});

type MirrorPart = Pick<
  Store,
  'addMirror' | 'saveMirror' | 'removeMirror' | 'mirrors' | 'mirror' | 'mirrorById' | 'mirrorsOfApplication'
>;

export function mirrorStore(parts: StoreParts): MirrorPart {
  const { database } = parts;
  const select = async (where: string, values: readonly unknown[]): Promise<readonly Mirror[]> =>
    (await queryList(parts, `SELECT ${COLUMNS} FROM speil_center.mirror ${where}`, values)).map(mirrorOf);
  return {
    addMirror: (mirror, dueAtMs) => addMirror(parts, mirror, dueAtMs),
    saveMirror: (id, change) => saveMirror(parts, id, change),
    removeMirror: async (id) => {
      const removed = await database.query('DELETE FROM speil_center.mirror WHERE id = $1 RETURNING id', [id]);
      if (removed.length === 0) throw noMirrorById(id);
    },
    mirrors: (tenant) =>
      tenant === undefined
        ? select('ORDER BY tenant, application', [])
        : select('WHERE tenant = $1 ORDER BY application', [tenant]),
    mirror: async (tenant, application) => {
      const [found] = await select('WHERE tenant = $1 AND application = $2', [tenant, application]);
      return found ?? (await noMirror(parts, tenant, application));
    },
    mirrorById: async (id) => (await select('WHERE id = $1', [id]))[0] ?? null,
    mirrorsOfApplication: (application) => select('WHERE application = $1 ORDER BY tenant', [application]),
  };
}

/** The mirror and its schedule are there together or not at all. */
async function addMirror(parts: StoreParts, mirror: NewMirror, dueAtMs: number): Promise<Mirror> {
  const { tenant, application } = mirror;
  if (!/^[A-Za-z0-9._-]{1,100}$/.test(application)) throw badApplication(application);
  const [row] = await parts.database.query(
    `WITH mirror AS (
       INSERT INTO speil_center.mirror (id, tenant, application, public_key, transport, every_ms, created_at)
       SELECT $1, name, $3, $4, $5::jsonb, $6::bigint, $7::timestamptz FROM speil_center.tenant WHERE name = $2
       ON CONFLICT (tenant, application) DO NOTHING RETURNING *
     ), schedule AS (
       INSERT INTO speil_center.schedule (mirror_id, tenant, due_at_ms) SELECT id, tenant, $8::bigint FROM mirror
     )
     SELECT ${COLUMNS} FROM mirror`,
    [
      parts.random.uuid(),
      tenant,
      application,
      storable(mirror.publicKey),
      json(mirror.transport),
      mirror.everyMs,
      nowIso(parts),
      dueAtMs,
    ],
  );
  if (row !== undefined) return mirrorOf(row);
  const there = await parts.database.query('SELECT 1 FROM speil_center.tenant WHERE name = $1', [tenant]);
  if (there.length === 0) return await noTenant(parts, tenant);
  throw conflict(
    `${tenant} has a mirror for ${application} already`,
    `speil center mirror list ${tenant} shows it; speil center mirror change ${tenant} --application ${application} … changes it.`,
  );
}

async function saveMirror(
  { database, clock }: StoreParts,
  id: string,
  { publicKey, transport, everyMs }: Parameters<Store['saveMirror']>[1],
): Promise<Mirror> {
  const { text, values } = assignments(
    { public_key: publicKey, transport: transport === undefined ? undefined : json(transport), every_ms: everyMs },
    1,
  );
  const [row] = await database.query(
    text === ''
      ? `SELECT ${COLUMNS} FROM speil_center.mirror WHERE id = $1`
      : `UPDATE speil_center.mirror SET ${text} WHERE id = $1 RETURNING ${COLUMNS}`,
    [id, ...values],
  );
  if (row === undefined) throw noMirrorById(id);
  if (everyMs !== undefined) await database.query(SOONER, [id, clock.now() + everyMs]);
  return mirrorOf(row);
}

const SOONER =
  'UPDATE speil_center.schedule SET due_at_ms = $2::bigint WHERE mirror_id = $1 AND due_at_ms > $2::bigint';

async function noMirror(parts: StoreParts, tenant: string, application: string): Promise<never> {
  const rows = await parts.database.query(
    `SELECT application FROM speil_center.tenant LEFT JOIN speil_center.mirror ON tenant = name
     WHERE name = $1 ORDER BY application LIMIT 11`,
    [tenant],
  );
  if (rows.length === 0) return await noTenant(parts, tenant);
  const names = rows.flatMap((row) => (row['application'] === null ? [] : [String(row['application'])]));
  throw notFound(`mirror of ${tenant} for ${application}`, instead(names, `speil center mirror list ${tenant}`));
}

export const noMirrorById = (id: string): SpeilError =>
  notFound(`mirror with the id ${id}`, 'speil center mirror list shows those there are.');

const badApplication = (name: string): SpeilError =>
  new SpeilError('USAGE', `${JSON.stringify(name)} cannot be the name of an application`, {
    hint: 'It has up to 100 letters, digits, -, _ and dots.',
  });
