import type { CenterEvent, EventKind } from './model.ts';
import type { NewEvent, Store } from './store.ts';
import { instant, nowIso, type StoredRow, type StoreParts, storable } from './store-sql.ts';
import { noTenant } from './store-tenants.ts';

const COLUMNS = 'id, at, kind, tenant, application, run_id, message, hint';

const textOrNull = (value: unknown): string | null => (value === null ? null : String(value));

const eventOf = (row: StoredRow): CenterEvent => ({
  id: Number(row['id']),
  at: instant(row['at']),
  kind: row['kind'] as EventKind,
  tenant: textOrNull(row['tenant']),
  application: textOrNull(row['application']),
  runId: textOrNull(row['run_id']),
  message: String(row['message']),
  hint: textOrNull(row['hint']),
});

export function eventStore(parts: StoreParts): Pick<Store, 'addEvent' | 'events'> {
  const { database } = parts;
  return {
    addEvent: (event) => addEvent(parts, event),
    events: async ({ tenant, afterId, limit }) => {
      const whose = tenant === undefined ? 'true' : 'tenant = $2';
      const values = [limit, ...(tenant === undefined ? [] : [tenant])];
      if (afterId === undefined) {
        const newest = await database.query(
          `SELECT ${COLUMNS} FROM speil_center.event WHERE ${whose} ORDER BY id DESC LIMIT $1::int`,
          values,
        );
        return newest.map(eventOf).toReversed();
      }
      const after = await database.query(
        `SELECT ${COLUMNS} FROM speil_center.event WHERE ${whose} AND id > $${values.length + 1}::bigint
         ORDER BY id LIMIT $1::int`,
        [...values, afterId],
      );
      return after.map(eventOf);
    },
  };
}

/**
 * The row of the last id stays locked until the event is committed: whoever has read an event will never find one with a
 * smaller id later.
 */
async function addEvent(parts: StoreParts, event: NewEvent): Promise<CenterEvent> {
  const { kind, tenant, application = null, runId = null, message, hint = null } = event;
  const [row] = await parts.database.query(
    `WITH next AS (
       UPDATE speil_center.last_event SET id = id + 1
       WHERE $3::text IS NULL OR EXISTS (SELECT 1 FROM speil_center.tenant WHERE name = $3) RETURNING id
     )
     INSERT INTO speil_center.event (id, at, kind, tenant, application, run_id, message, hint)
     SELECT id, $1::timestamptz, $2, $3, $4, $5, $6, $7 FROM next RETURNING ${COLUMNS}`,
    [nowIso(parts), kind, tenant, application, runId, storable(message), hint === null ? null : storable(hint)],
  );
  return row === undefined ? await noTenant(parts, String(tenant)) : eventOf(row);
}
