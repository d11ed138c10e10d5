import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { Resource } from './parts.ts';
import * as schema from './schemas.ts';

const health = z.object({ status: z.string() });
/** Everybody may ask whether the center is ready, as often as they like: the database is asked this often. */
const READY_KNOWN_MS = 1_000;

const openApi = z.record(z.string(), z.unknown());

/** What is asked by those who run the center, not about tenants. */
export const serviceRoutes: Resource = (api, { store, runner, metrics, clock }) => {
  const databaseAnswers = askedSeldom(clock, () => store.settings());
  api.get(
    '/healthz',
    {
      config: { access: 'open' },
      schema: { summary: 'The process answers', security: [], response: { 200: health } },
    },
    () => ({ status: 'ok' }),
  );
  api.get(
    '/readyz',
    {
      config: { access: 'open' },
      schema: {
        summary: 'It can work: the database answers, cycles are taken up',
        security: [],
        response: { 200: health, 503: health },
      },
    },
    async (_request, reply) => {
      if (!(await databaseAnswers())) return reply.code(503).send({ status: 'the database does not answer' });
      if (!runner.state().ready) return reply.code(503).send({ status: 'no cycles are taken up' });
      return reply.send({ status: 'ok' });
    },
  );
  api.get(
    '/metrics',
    {
      config: { access: 'see-all' },
      schema: { summary: "Metrics in Prometheus' text format", response: schema.answers({ 200: z.string() }) },
    },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  );
  api.get(
    '/openapi.json',
    {
      config: { access: 'see' },
      schema: { summary: 'This API as an OpenAPI document', response: schema.answers({ 200: openApi }) },
    },
    () => JSON.parse(JSON.stringify(api.swagger())),
  );
};

/** Whether `ask` succeeds, as it was known a moment ago. */
function askedSeldom(clock: Pick<Clock, 'monotonicMs'>, ask: () => Promise<unknown>): () => Promise<boolean> {
  let known = Promise.resolve(false);
  let untilMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (clock.monotonicMs() < untilMs) return known;
    untilMs = clock.monotonicMs() + READY_KNOWN_MS;
    known = ask().then(
      () => true,
      () => false,
    );
    return known;
  };
}
