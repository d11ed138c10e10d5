import swagger from '@fastify/swagger';
import fastify, { type FastifyReply } from 'fastify';
import { jsonSchemaTransform, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { SERVICE_HEADER } from '../../client/http/paths.ts';
import { SpeilError } from '../../core/error.ts';
import { guardRoutes } from './access.ts';
import { answerFailure, answerWith } from './errors.ts';
import { eventRoutes } from './events.ts';
import { mirrorRoutes } from './mirrors.ts';
import type { Api, ApiParts, Resource } from './parts.ts';
import { runRoutes } from './runs.ts';
import { serviceRoutes } from './service.ts';
import { settingsRoutes } from './settings.ts';
import { statusRoutes } from './status.ts';
import { tenantRoutes } from './tenants.ts';
import { tokenRoutes } from './tokens.ts';
import { Waits } from './waits.ts';

/** The largest body there is names every table of a source of 5,000. */
export const BODY_BYTES_MAX = 1_000_000;
/** A request that takes longer to arrive is of somebody who only holds the connection. */
const REQUEST_MS_MAX = 60_000;

/** A name of 200 characters, each of which may take twelve in a path. Longer ones the schemas would refuse too. */
const PARAMETER_BYTES_MAX = 2_400;

const resources = (waits: Waits): readonly Resource[] => [
  serviceRoutes,
  tenantRoutes,
  mirrorRoutes(waits),
  runRoutes,
  statusRoutes,
  eventRoutes(waits),
  settingsRoutes,
  tokenRoutes,
];

/** The center's API, which does not listen yet. */
export async function createCenterApi(parts: ApiParts): Promise<Api> {
  const api = newServer(parts);
  await api.register(swagger, {
    transform: jsonSchemaTransform,
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Speil operation center', version: parts.version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  });
  api.addHook('onRequest', async (_request, reply) => {
    reply.header(SERVICE_HEADER, 'operation-center');
  });
  guardRoutes(api, parts);
  logRequests(api, parts);
  for (const resource of resources(new Waits())) resource(api, parts);
  await api.ready();
  return api;
}

function newServer(parts: ApiParts): Api {
  const options = {
    logger: false,
    genReqId: () => parts.random.uuid(),
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PARAMETER_BYTES_MAX },
    frameworkErrors: (_error: unknown, _request: unknown, reply: FastifyReply) => void answerWith(reply, notAPath()),
  };
  const server = parts.tls === null ? fastify(options) : fastify({ ...options, https: parts.tls });
  const api = server as unknown as Api;
  api.setValidatorCompiler(validatorCompiler);
  api.setSerializerCompiler(serializerCompiler);
  api.setErrorHandler(answerFailure(parts));
  api.setNotFoundHandler((_request, reply) => answerWith(reply, noRoute()));
  return api;
}

const notAPath = (): SpeilError =>
  new SpeilError('USAGE', 'the path of the request cannot be read', {
    hint: 'GET /openapi.json names those there are; write names in them percent-encoded.',
  });

const noRoute = (): SpeilError =>
  new SpeilError('NOT_FOUND', 'there is no such path or method', { hint: 'GET /openapi.json names those there are.' });

/** One line a request; reading by machines every few seconds is not worth one when it went well. */
function logRequests(api: Api, { log }: ApiParts): void {
  api.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  api.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions, caller } = request;
    if (method === 'GET' && reply.statusCode < 400) return;
    const { tenant, application } = request.params as { readonly tenant?: string; readonly application?: string };
    const fields = {
      ...(tenant === undefined ? {} : { tenant }),
      ...(application === undefined ? {} : { application }),
      request: request.id,
      method,
      route: routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      token: caller?.id ?? null,
      from: request.ip,
    };
    if (reply.statusCode < 500) log.info(fields, 'request');
    else log.error(fields, 'request');
  });
}
