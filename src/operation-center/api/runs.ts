import { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import { callerOf } from './access.ts';
import type { Resource } from './parts.ts';
import { summaryOf, viewOf } from './run-view.ts';
import * as schema from './schemas.ts';

const RUNS_DEFAULT = 20;
const RUNS_MAX = 500;

export const runRoutes: Resource = (api, { store }) => {
  api.get(
    '/v1/tenants/:tenant/runs',
    {
      config: { access: 'see' },
      schema: {
        summary: "A tenant's runs, newest first",
        params: schema.tenantParams,
        querystring: z.strictObject({
          application: schema.someName.optional(),
          limit: schema.limitOf(RUNS_DEFAULT, RUNS_MAX),
        }),
        response: schema.answers({ 200: schema.list(schema.runSummary) }),
      },
    },
    async ({ params: { tenant }, query: { application, limit } }) => {
      await store.tenant(tenant);
      const runs = await store.runs({ tenant, limit, ...(application === undefined ? {} : { application }) });
      return runs.map(summaryOf);
    },
  );
  api.get(
    '/v1/runs/:id',
    {
      config: { access: 'see' },
      schema: {
        summary: 'A run with the report of each table',
        params: schema.idParams,
        response: schema.answers({ 200: schema.run }),
      },
    },
    async (request) => {
      const { id } = request.params;
      const { tenant } = callerOf(request);
      const run = await store.run(id).catch((error: unknown) => {
        throw error instanceof SpeilError && error.code === 'NOT_FOUND' ? noRun(id) : error;
      });
      if (tenant !== null && run.tenant !== tenant) throw noRun(id);
      return viewOf(run);
    },
  );
};

/** In the same words for what another tenant has and for what nobody has. */
const noRun = (id: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is no run ${id}`, { hint: '`speil center runs <tenant>` names those there are.' });
