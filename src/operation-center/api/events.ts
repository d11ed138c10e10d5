import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { CenterEvent } from '../model.ts';
import type { Store } from '../store.ts';
import { callerOf, demandVisible } from './access.ts';
import { closedSignal, demandGoingOn, type Resource } from './parts.ts';
import * as schema from './schemas.ts';
import type { Waits } from './waits.ts';

const EVENTS_DEFAULT = 100;
const EVENTS_MAX = 1_000;
/** Events come from any center that shares the database, so it is asked again, this often, by whoever follows. */
const LOOK_AGAIN_MS = 500;

export const eventRoutes =
  (waits: Waits): Resource =>
  (api, parts) => {
    const { store, clock, ending } = parts;
    api.get(
      '/v1/events',
      {
        config: { access: 'see' },
        schema: {
          summary:
            'The event log, oldest first: the newest events, or those after an id; with waitSeconds the answer waits for one',
          querystring: schema.tenantQuery.extend({
            after: z.coerce.number().int().min(0).optional(),
            limit: schema.limitOf(EVENTS_DEFAULT, EVENTS_MAX),
            waitSeconds: schema.waitSeconds,
          }),
          response: schema.answers({ 200: schema.list(schema.event) }),
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const { tenant: asked, after, limit, waitSeconds } = request.query;
        if (asked !== undefined) {
          demandVisible(caller, asked);
          await store.tenant(asked);
        }
        const tenant = asked ?? caller.tenant ?? undefined;
        const filter = {
          limit,
          ...(tenant === undefined ? {} : { tenant }),
          ...(after === undefined ? {} : { afterId: after }),
        };
        using _wait = waitSeconds > 0 ? waits.begin(caller) : null;
        const signal = AbortSignal.any([ending, closedSignal(reply.raw)]);
        const events = await waitForEvents(store, clock, filter, { waitMs: waitSeconds * 1000, signal });
        if (events.length === 0 && waitSeconds > 0) demandGoingOn(parts);
        return events;
      },
    );
  };

async function waitForEvents(
  store: Store,
  clock: Clock,
  filter: Parameters<Store['events']>[0],
  { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<readonly CenterEvent[]> {
  const endsAtMs = clock.monotonicMs() + waitMs;
  for (;;) {
    const events = await store.events(filter);
    const leftMs = endsAtMs - clock.monotonicMs();
    if (events.length > 0 || leftMs <= 0 || signal.aborted) return events;
    await clock.sleep(Math.min(LOOK_AGAIN_MS, leftMs), signal).catch(() => undefined);
  }
}
