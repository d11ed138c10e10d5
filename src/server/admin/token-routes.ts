import { z } from 'zod';
import { demandAdminToken, noDatabase } from '../access.ts';
import { DatabaseName } from '../databases/database-name.ts';
import { type AdminCall, type AdminRoute, bodyOf } from './admin-api.ts';

const name = z.string().transform((text) => DatabaseName.of(text));
const newToken = z.union([
  z.strictObject({ access: z.enum(['read', 'write']), database: name.nullable() }),
  z.strictObject({ access: z.literal('admin'), database: z.null() }),
]);

export const tokenRoutes = (): readonly AdminRoute[] => [
  { method: 'GET', pattern: 'tokens', handler: list },
  { method: 'POST', pattern: 'tokens', handler: create },
  { method: 'DELETE', pattern: 'tokens/:', handler: revoke },
];

function list({ caller, parts }: AdminCall): unknown {
  demandAdminToken(caller);
  return parts.tokens.list;
}

/** The secret is in this answer and nowhere else. */
async function create({ caller, parts, request, response }: AdminCall): Promise<unknown> {
  demandAdminToken(caller);
  const grant = await bodyOf(request, newToken);
  if (grant.database !== null && parts.databases.viewOf(grant.database) === null) throw noDatabase(grant.database);
  const made = parts.tokens.create(grant);
  response.statusCode = 201;
  return made;
}

function revoke({ caller, parts, parameter }: AdminCall): null {
  demandAdminToken(caller);
  parts.tokens.revoke(parameter);
  return null;
}
