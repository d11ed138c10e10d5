import { resolve } from 'node:path';
import { z } from 'zod';
import { parseLocation } from '../../database/parse-location.ts';
import type { TenantPreferences } from '../model.ts';
import { newlySkipped } from '../run-cycle.ts';
import { callerOf, demandOperator } from './access.ts';
import type { Api, ApiParts, Resource } from './parts.ts';
import { withoutUndefined } from './parts.ts';
import * as schema from './schemas.ts';

export const tenantRoutes: Resource = (api, parts) => {
  collection(api, parts);
  one(api, parts);
  switches(api, parts);
  preferences(api, parts);
};

function collection(api: Api, { store }: ApiParts): void {
  api.get(
    '/v1/tenants',
    {
      config: { access: 'see' },
      schema: { summary: 'The tenants', response: schema.answers({ 200: schema.list(schema.tenant) }) },
    },
    async (request) => {
      const { tenant } = callerOf(request);
      return tenant === null ? await store.tenants() : [await store.tenant(tenant)];
    },
  );
  api.post(
    '/v1/tenants',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Adds a tenant',
        body: z.strictObject({ name: schema.tenantName, source: schema.sourceAddress }),
        response: schema.answers({ 201: schema.tenant }),
      },
    },
    async ({ body }, reply) => {
      const source = wherever(body.source);
      return reply.code(201).send(await store.addTenant({ name: body.name, source }));
    },
  );
}

function one(api: Api, { store }: ApiParts): void {
  api.get(
    '/v1/tenants/:tenant',
    {
      config: { access: 'see' },
      schema: { summary: 'A tenant', params: schema.tenantParams, response: schema.answers({ 200: schema.tenant }) },
    },
    ({ params }) => store.tenant(params.tenant),
  );
  api.delete(
    '/v1/tenants/:tenant',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Removes a tenant from the center; its mirrors stay as they are',
        params: schema.tenantParams,
        response: schema.answers({ 204: schema.nothing }),
      },
    },
    async ({ params }, reply) => {
      await store.removeTenant(params.tenant);
      return reply.code(204).send();
    },
  );
  api.put(
    '/v1/tenants/:tenant/source',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Gives the tenant another source address, such as one with a new password',
        params: schema.tenantParams,
        body: z.strictObject({ source: schema.sourceAddress }),
        response: schema.answers({ 200: schema.tenant }),
      },
    },
    async ({ params, body }) => {
      return await store.saveSource(params.tenant, wherever(body.source));
    },
  );
}

function switches(api: Api, { store }: ApiParts): void {
  for (const [word, paused, summary] of [
    ['pause', true, 'No more cycles for the tenant, until it is resumed'],
    ['resume', false, 'Cycles again'],
  ] as const) {
    api.post(
      `/v1/tenants/:tenant/${word}`,
      {
        config: { access: 'operate' },
        schema: { summary, params: schema.tenantParams, response: schema.answers({ 200: schema.tenant }) },
      },
      ({ params }) => store.saveTenant(params.tenant, { paused }),
    );
  }
  api.put(
    '/v1/tenants/:tenant/maintenance',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'No cycles and no wipes for the tenant while on',
        params: schema.tenantParams,
        body: z.strictObject({ on: z.boolean() }),
        response: schema.answers({ 200: schema.tenant }),
      },
    },
    ({ params, body }) => store.saveTenant(params.tenant, { maintenance: body.on }),
  );
}

/** The same file whatever folder the center is started from: paths count from where it runs now. Throws as `parseLocation`. */
function wherever(source: string): string {
  const location = parseLocation(source);
  return location.kind === 'sqlite' ? `sqlite:${resolve(location.path)}` : source;
}

const preferencesAnswer = schema.preferences.extend({
  announced: schema
    .list(z.string())
    .describe(
      'Tables that this change leaves out: the next cycle announces that their mirror copies are dropped, the one after it drops them.',
    ),
});

export type PreferencesAnswer = z.output<typeof preferencesAnswer>;

function preferences(api: Api, { store }: ApiParts): void {
  api.patch(
    '/v1/tenants/:tenant/preferences',
    {
      config: { access: 'act' },
      schema: {
        summary: "Changes a tenant's preferences; what is not named stays",
        params: schema.tenantParams,
        body: schema.preferencesChange,
        response: schema.answers({ 200: preferencesAnswer }),
      },
    },
    async (request) => {
      const { params, body } = request;
      if (body.blockedTables !== undefined) demandOperator(callerOf(request));
      const before = await store.tenant(params.tenant);
      const after = await store.saveTenant(params.tenant, { preferences: withoutUndefined(body) });
      return { ...after.preferences, announced: newlyLeftOut(before.preferences, after.preferences) };
    },
  );
}

const newlyLeftOut = (before: TenantPreferences, after: TenantPreferences): readonly string[] => [
  ...new Set(newlySkipped(leftOut(after), leftOut(before))),
];

const leftOut = ({ skipTables, blockedTables }: TenantPreferences): readonly string[] => [
  ...skipTables,
  ...blockedTables,
];
