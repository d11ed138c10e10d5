import { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import type { ApiToken, Role } from '../model.ts';
import type { Store } from '../store.ts';
import type { Resource } from './parts.ts';
import * as schema from './schemas.ts';

const role = z.enum(['operator', 'tenant', 'read-only']);
const token = z.object({
  id: z.string(),
  role,
  tenant: z.string().nullable().describe('Null: every tenant.'),
  createdAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
});
const newToken = z.object({
  token,
  secret: z.string().describe('What requests show. Told this once, and kept nowhere.'),
});

export type TokenAnswer = z.output<typeof token>;
export type NewTokenAnswer = z.output<typeof newToken>;

export const tokenRoutes: Resource = (api, { store }) => {
  api.get(
    '/v1/tokens',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'The API tokens, without their secrets',
        response: schema.answers({ 200: schema.list(token) }),
      },
    },
    async () => [...(await store.tokens())],
  );
  api.post(
    '/v1/tokens',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Makes an API token',
        body: z.strictObject({ role, tenant: schema.someName.nullable().default(null) }),
        response: schema.answers({ 201: newToken }),
      },
    },
    async ({ body }, reply) => {
      await checkScope(store, body.role, body.tenant);
      return reply.code(201).send(await store.createToken(body));
    },
  );
  api.post(
    '/v1/tokens/:id/rotate',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Makes a token of the same role and tenant, and revokes this one',
        params: schema.idParams,
        response: schema.answers({ 201: newToken }),
      },
    },
    async ({ params }, reply) => {
      const { role: sameRole, tenant } = await standing(store, params.id);
      const made = await store.createToken({ role: sameRole, tenant });
      await store.revokeToken(params.id);
      return reply.code(201).send(made);
    },
  );
  api.delete(
    '/v1/tokens/:id',
    {
      config: { access: 'operate' },
      schema: {
        summary: 'Revokes a token',
        params: schema.idParams,
        response: schema.answers({ 204: schema.nothing }),
      },
    },
    async ({ params }, reply) => {
      await store.revokeToken(params.id);
      return reply.code(204).send();
    },
  );
};

async function checkScope(store: Store, wanted: Role, tenant: string | null): Promise<void> {
  if (wanted === 'operator' && tenant !== null) {
    throw new SpeilError('USAGE', 'an operator token is for every tenant', {
      hint: 'Leave the tenant out, or make a token of role tenant.',
    });
  }
  if (wanted === 'tenant' && tenant === null) {
    throw new SpeilError('USAGE', 'a token of role tenant needs its tenant', { hint: 'Add --tenant <name>.' });
  }
  if (tenant !== null) await store.tenant(tenant);
}

async function standing(store: Store, id: string): Promise<ApiToken> {
  const found = (await store.tokens()).find((candidate) => candidate.id === id && candidate.revokedAt === null);
  if (found !== undefined) return found;
  throw new SpeilError('NOT_FOUND', `there is no token ${id} that still holds`, {
    hint: '`speil center token list` names those there are.',
  });
}
