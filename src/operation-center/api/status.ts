import { z } from 'zod';
import { isBehind } from '../alert-decision.ts';
import type { CenterSettings, LastRun, Mirror, MirrorSchedule, Tenant } from '../model.ts';
import type { MirrorWithSchedule } from '../store.ts';
import { callerOf, demandVisible } from './access.ts';
import type { ApiParts, Resource } from './parts.ts';
import * as schema from './schemas.ts';

const mirrorStatus = z.object({
  tenant: z.string(),
  application: z.string(),
  state: z
    .enum(['running', 'maintenance', 'paused', 'failing', 'not yet copied', 'waiting'])
    .describe('The first of these that is so.'),
  behind: z.boolean().describe('The last completed cycle is more than two intervals ago.'),
  connected: z
    .boolean()
    .nullable()
    .describe('Of a client that dials out: it is connected to this center. Null: it is called.'),
  nextDueAt: z.iso.datetime().nullable().describe('Null while there is none: paused, or in maintenance.'),
  lastCompletedAt: z.iso.datetime().nullable(),
  failuresInRow: z.number(),
  lastRun: schema.lastRun.nullable().describe('Its newest.'),
});
const status = z.object({
  maintenance: z.boolean().describe('The whole center is in maintenance.'),
  cyclesRunning: z.number().describe('Of this center.'),
  queueLength: z.number(),
  mirrors: schema.list(mirrorStatus),
});

export type MirrorStatus = z.output<typeof mirrorStatus>;
export type StatusAnswer = z.output<typeof status>;

export const statusRoutes: Resource = (api, parts) => {
  const { store, runner } = parts;
  api.get(
    '/v1/status',
    {
      config: { access: 'see' },
      schema: {
        summary: 'How each mirror is doing',
        querystring: schema.tenantQuery,
        response: schema.answers({ 200: status }),
      },
    },
    async (request) => {
      const caller = callerOf(request);
      const name = request.query.tenant ?? caller.tenant ?? undefined;
      if (name !== undefined) demandVisible(caller, name);
      const [settings, tenants, mirrors, lastRuns] = await Promise.all([
        store.settings(),
        name === undefined ? store.tenants() : [await store.tenant(name)],
        store.schedules(name),
        store.lastRuns(name),
      ]);
      const { running, queued } = runner.state();
      return {
        maintenance: settings.maintenance,
        cyclesRunning: running,
        queueLength: queued,
        mirrors: statusOfAll(parts, { settings, tenants, mirrors, lastRuns }),
      };
    },
  );
};

type Found = {
  readonly settings: CenterSettings;
  readonly tenants: readonly Tenant[];
  readonly mirrors: readonly MirrorWithSchedule[];
  readonly lastRuns: readonly LastRun[];
};

function statusOfAll(parts: ApiParts, { settings, tenants, mirrors, lastRuns }: Found): MirrorStatus[] {
  const byName = new Map(tenants.map((tenant) => [tenant.name, tenant]));
  const runs = new Map(lastRuns.map((run) => [keyOf(run), run]));
  return mirrors.flatMap(({ mirror, schedule }) => {
    const tenant = byName.get(mirror.tenant);
    if (tenant === undefined) return [];
    return [{ ...statusOf(parts, { settings, tenant, mirror, schedule }), lastRun: runs.get(keyOf(mirror)) ?? null }];
  });
}

const keyOf = ({ tenant, application }: Pick<Mirror, 'tenant' | 'application'>): string =>
  JSON.stringify([tenant, application]);

type One = {
  readonly settings: CenterSettings;
  readonly tenant: Tenant;
  readonly mirror: Mirror;
  readonly schedule: MirrorSchedule;
};

function statusOf(parts: ApiParts, one: One): Omit<MirrorStatus, 'lastRun'> {
  const { mirror, schedule, tenant, settings } = one;
  const stopped = tenant.paused || tenant.maintenance || settings.maintenance;
  return {
    tenant: mirror.tenant,
    application: mirror.application,
    state: stateOf(parts, one),
    behind: isBehind({
      told: false,
      lastCompletedAtMs: schedule.lastCompletedAtMs,
      createdAtMs: Date.parse(mirror.createdAt),
      everyMs: mirror.everyMs,
      freeSinceMs: 0,
      nowMs: parts.clock.now(),
    }),
    connected: mirror.transport.kind === 'dialled' ? parts.isConnected(mirror) : null,
    nextDueAt: stopped ? null : isoTime(schedule.dueAtMs),
    lastCompletedAt: schedule.lastCompletedAtMs === null ? null : isoTime(schedule.lastCompletedAtMs),
    failuresInRow: schedule.failuresInRow,
  };
}

function stateOf({ runner }: ApiParts, { mirror, schedule, tenant, settings }: One): MirrorStatus['state'] {
  if (runner.isRunning(mirror.id)) return 'running';
  if (settings.maintenance || tenant.maintenance) return 'maintenance';
  if (tenant.paused) return 'paused';
  if (schedule.failuresInRow > 0) return 'failing';
  return schedule.copied ? 'waiting' : 'not yet copied';
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
