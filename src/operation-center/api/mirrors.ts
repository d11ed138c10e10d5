import { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import type { Mirror } from '../model.ts';
import { EVERY_MS_DEFAULT } from '../schedule.ts';
import { callerOf } from './access.ts';
import { checkPublicKey, checkTransport } from './mirror-checks.ts';
import type { Api, ApiParts, Resource } from './parts.ts';
import { closedSignal, demandGoingOn, withoutUndefined } from './parts.ts';
import { viewOf } from './run-view.ts';
import * as schema from './schemas.ts';
import type { Waits } from './waits.ts';

export const mirrorRoutes =
  (waits: Waits): Resource =>
  (api, parts) => {
    collection(api, parts);
    one(api, parts);
    work(api, parts);
    nextRun(api, parts, waits);
  };

function collection(api: Api, parts: ApiParts): void {
  const { store, clock } = parts;
  api.get(
    '/v1/tenants/:tenant/mirrors',
    {
      config: { access: 'see' },
      schema: {
        summary: "A tenant's mirrors",
        params: schema.tenantParams,
        response: schema.answers({ 200: schema.list(schema.mirror) }),
      },
    },
    async ({ params }) => {
      await store.tenant(params.tenant);
      return await store.mirrors(params.tenant);
    },
  );
  api.post(
    '/v1/tenants/:tenant/mirrors',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Adds a mirror; its first cycle is due at once',
        params: schema.tenantParams,
        body: z.strictObject({
          application: schema.applicationName,
          publicKey: schema.publicKey,
          transport: schema.transport,
          everyMs: schema.everyMs.default(EVERY_MS_DEFAULT),
        }),
        response: schema.answers({ 201: schema.mirror }),
      },
    },
    async ({ params, body }, reply) => {
      await store.tenant(params.tenant);
      checkTransport(body.transport, parts.insecure);
      const publicKey = checkPublicKey(body.publicKey, body.transport);
      const mirror = await store.addMirror({ ...body, publicKey, tenant: params.tenant }, clock.now());
      return reply.code(201).send(mirror);
    },
  );
}

function one(api: Api, parts: ApiParts): void {
  const { store } = parts;
  api.get(
    '/v1/tenants/:tenant/mirrors/:application',
    {
      config: { access: 'see' },
      schema: { summary: 'A mirror', params: schema.mirrorParams, response: schema.answers({ 200: schema.mirror }) },
    },
    ({ params }) => store.mirror(params.tenant, params.application),
  );
  api.patch(
    '/v1/tenants/:tenant/mirrors/:application',
    {
      config: { access: 'operate' },
      schema: {
        summary: "Changes a mirror's key, transport or interval; what is not named stays",
        params: schema.mirrorParams,
        body: z.strictObject({
          publicKey: schema.publicKey.optional(),
          transport: schema.transport.optional(),
          everyMs: schema.everyMs.optional(),
        }),
        response: schema.answers({ 200: schema.mirror }),
      },
    },
    async ({ params, body }) => {
      const before = await store.mirror(params.tenant, params.application);
      const after = { ...before, ...withoutUndefined(body) };
      checkTransport(after.transport, parts.insecure);
      const publicKey = checkPublicKey(after.publicKey, after.transport);
      return await store.saveMirror(before.id, { publicKey, transport: after.transport, everyMs: after.everyMs });
    },
  );
  api.delete(
    '/v1/tenants/:tenant/mirrors/:application',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Removes a mirror from the center; its database stays as it is',
        params: schema.mirrorParams,
        response: schema.answers({ 204: schema.nothing }),
      },
    },
    async ({ params }, reply) => {
      await store.removeMirror((await store.mirror(params.tenant, params.application)).id);
      return reply.code(204).send();
    },
  );
}

function work(api: Api, parts: ApiParts): void {
  const { store, runner } = parts;
  api.post(
    '/v1/tenants/:tenant/mirrors/:application/run',
    {
      config: { access: 'act' },
      schema: {
        summary: 'Has a cycle start as soon as it may',
        params: schema.mirrorParams,
        response: schema.answers({ 202: z.object({ lastRunId: z.string().nullable() }) }),
      },
    },
    async ({ params }, reply) => {
      const mirror = await store.mirror(params.tenant, params.application);
      await demandMayRun(parts, mirror);
      return reply.code(202).send(await runner.requestRun(mirror.id));
    },
  );
  api.post(
    '/v1/tenants/:tenant/mirrors/:application/resync',
    {
      config: { access: 'act' },
      schema: {
        summary: 'Has the next cycle copy these tables again, and no others',
        params: schema.mirrorParams,
        body: schema.resyncTables,
        response: schema.answers({ 202: z.object({ tables: schema.list(z.string()) }) }),
      },
    },
    async ({ params, body }, reply) => {
      const mirror = await store.mirror(params.tenant, params.application);
      return reply.code(202).send({ tables: await store.addResync(mirror.id, body.tables) });
    },
  );
}

function nextRun(api: Api, parts: ApiParts, waits: Waits): void {
  const { store, runner, ending } = parts;
  api.get(
    '/v1/tenants/:tenant/mirrors/:application/next-run',
    {
      config: { access: 'see' },
      schema: {
        summary: 'The first run that began after another and has ended; null when there is none yet',
        params: schema.mirrorParams,
        querystring: z.strictObject({ after: z.string().max(100).optional(), waitSeconds: schema.waitSeconds }),
        response: schema.answers({ 200: schema.run.nullable() }),
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const mirror = await store.mirror(params.tenant, params.application);
      using _wait = query.waitSeconds > 0 ? waits.begin(callerOf(request)) : null;
      const signal = AbortSignal.any([ending, closedSignal(reply.raw)]);
      const wait = { afterRunId: query.after ?? null, waitMs: query.waitSeconds * 1000, signal };
      const found = await runner.waitForRun(mirror.id, wait).catch((error: unknown) => {
        if (signal.aborted) return null;
        throw error;
      });
      if (found !== null) return viewOf(found);
      demandGoingOn(parts);
      return null;
    },
  );
}

/** A cycle that cannot start is refused, so that nobody waits for it. */
async function demandMayRun({ store }: ApiParts, { tenant: name }: Mirror): Promise<void> {
  const [tenant, settings] = await Promise.all([store.tenant(name), store.settings()]);
  if (tenant.paused) throw hindered(`${name} is paused`, `speil center tenant resume ${name}`);
  if (tenant.maintenance) throw hindered(`${name} is in maintenance`, `speil center maintenance off ${name}`);
  if (settings.maintenance) throw hindered('the center is in maintenance', 'speil center maintenance off');
}

const hindered = (what: string, command: string): SpeilError =>
  new SpeilError('CONFLICT', `${what}: no cycle starts`, { hint: `When it is time: ${command}` });
