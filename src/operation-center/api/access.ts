import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import { FailureLimit } from '../../service/failure-limit.ts';
import type { ApiToken } from '../model.ts';
import type { Api, ApiParts } from './parts.ts';

/**
 * Who may call a route.
 * - `open`: everybody, without a token.
 * - `see`: any token; of one tenant only what is that tenant's.
 * - `see-all`: any token that is not of one tenant.
 * - `act`: operators, and a tenant's own token of role `tenant`.
 * - `operate`: operators.
 */
export type Access = 'open' | 'see' | 'see-all' | 'act' | 'operate';

/** No secret of ours is longer; longer headers are not looked up. */
const SECRET_CHARACTERS_MAX = 200;

const noFields = z.strictObject({});

/** Every request passes here before its body is read. */
export function guardRoutes(api: Api, parts: ApiParts): void {
  const limit = new FailureLimit(parts.clock);
  api.decorateRequest('caller', null);
  api.addHook('onRoute', ({ url, config, schema }) => {
    if (config?.access === undefined || schema === undefined) throw new Error(`${url} does not say who may send what`);
    schema.querystring ??= noFields;
  });
  api.addHook('preValidation', async ({ routeOptions, body }) => {
    if (routeOptions.schema?.body === undefined && !noFields.nullish().safeParse(body).success) {
      throw new SpeilError('USAGE', 'the request takes no body');
    }
  });
  api.addHook('onRequest', async (request, reply) => {
    const { access } = request.routeOptions.config;
    if (access === 'open') return;
    const waitMs = limit.waitMs(request.ip, secretOf(request));
    if (waitMs > 0) reply.header('retry-after', Math.ceil(waitMs / 1000));
    const caller = await authenticate(parts, limit, request, waitMs);
    request.caller = caller;
    const { tenant } = request.params as { readonly tenant?: string };
    if (tenant !== undefined) demandVisible(caller, tenant);
    if (access !== undefined) demandRole(caller, access);
  });
}

async function authenticate(
  { store }: ApiParts,
  limit: FailureLimit,
  request: FastifyRequest,
  waitMs: number,
): Promise<ApiToken> {
  const secret = secretOf(request);
  if (secret === '') throw notAuthenticated(true);
  if (waitMs > 0) throw tooManyFailures();
  const token = secret.length > SECRET_CHARACTERS_MAX ? null : await store.findToken(secret);
  if (token === null) {
    limit.failed(request.ip);
    throw notAuthenticated(false);
  }
  limit.succeeded(secret);
  return token;
}

const secretOf = ({ headers }: FastifyRequest): string =>
  /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? '';

export const TOO_MANY_FAILURES = 'too many requests with tokens that are not known came from this address';

const tooManyFailures = (): SpeilError =>
  new SpeilError('AUTHENTICATION_REFUSED', TOO_MANY_FAILURES, {
    hint: 'Wait a minute, and correct the token.',
    recovery: 'retry',
  });

const notAuthenticated = (missing: boolean): SpeilError =>
  new SpeilError(
    'AUTHENTICATION_REFUSED',
    missing ? 'the request has no API token' : 'the API token is not known, or it was revoked',
    { hint: 'Send `Authorization: Bearer <token>`; `speil center token create` makes one.' },
  );

/** The caller of a route that is not open. */
export function callerOf({ caller }: FastifyRequest): ApiToken {
  if (caller === null) throw notAuthenticated(true);
  return caller;
}

/** Another tenant is not there for a token of one tenant, whether it exists or not. */
export function demandVisible(caller: ApiToken, tenant: string): void {
  if (caller.tenant !== null && caller.tenant !== tenant) throw noTenant(tenant);
}

export const noTenant = (tenant: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is no tenant ${tenant}`, {
    hint: '`speil center tenant list` names those there are.',
  });

function demandRole({ role, tenant }: ApiToken, access: Access): void {
  if (access === 'operate' && role !== 'operator') throw forbidden('an operator');
  if (access === 'act' && role === 'read-only') throw forbidden('an operator or of the tenant');
  if (access === 'see-all' && tenant !== null) throw forbidden('an operator, or a read-only one without a tenant');
}

/** For what only operators may change, of a resource that others may change too. */
export function demandOperator({ role }: ApiToken): void {
  if (role !== 'operator') throw forbidden('an operator');
}

const forbidden = (needed: string): SpeilError =>
  new SpeilError('FORBIDDEN', `this API token may not do that: it needs a token of ${needed}`, {
    hint: 'Name another token with --token-file or SPEIL_TOKEN_FILE.',
  });
