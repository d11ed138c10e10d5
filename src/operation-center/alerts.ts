import type { Clock, Random } from '../core/clock.ts';
import { type AlertKind, type AlertState, decideAlert, isBehind, type MirrorHealth } from './alert-decision.ts';
import type { Mirror, MirrorSchedule, Run } from './model.ts';
import { isQuiet } from './quiet-hours.ts';
import type { Alerts } from './run-cycle.ts';
import type { CenterLog } from './runner-port.ts';
import type { AlertCandidate, Store } from './store.ts';
import { Webhook, type WebhookTarget } from './webhook.ts';

/** How often is looked for mirrors that fell behind, and that caught up. */
const LOOK_MS = 60_000;

export type AlertsOptions = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: CenterLog;
};

/**
 * Tells the webhook of mirrors that fail, recover, fall behind their schedule and catch up; a mail or a pager is what the
 * webhook makes of it. Several centers tell each thing once. Messages that wait are lost when the center ends; what
 * happened stands in the event log whether or not there is a webhook.
 */
export interface CenterAlerts extends Alerts, AsyncDisposable {
  /** Looks for mirrors that fell behind or caught up; done by itself every minute. */
  look(): Promise<void>;
}

export function createAlerts(options: AlertsOptions): CenterAlerts {
  const alerts = new WebhookAlerts(options);
  alerts.start();
  return alerts;
}

class WebhookAlerts implements CenterAlerts {
  readonly #options: AlertsOptions;
  readonly #webhook: Webhook;
  readonly #ending = new AbortController();
  /**
   * When cycles could not start for the last time: of every mirror, and of each tenant's. Milliseconds since 1970. Never
   * earlier than it was: a look may end after a later one.
   */
  #heldAtMs: number;
  readonly #tenantsHeldAtMs = new Map<string, number>();
  #looking: Promise<void> = Promise.resolve();

  constructor(options: AlertsOptions) {
    const { clock, random, log } = options;
    this.#options = options;
    this.#heldAtMs = clock.now();
    this.#webhook = new Webhook({
      clock,
      random,
      target: () => this.#target(),
      onLost: (message, why) => log.error({ alert: message.id }, `an alert could not be posted to the webhook: ${why}`),
    });
  }

  start(): void {
    this.#looking = this.#lookOnAndOn();
  }

  async cycleEnded({ run, mirror, before, failuresInRow }: Parameters<Alerts['cycleEnded']>[0]): Promise<void> {
    if (run.status === 'interrupted' || (failuresInRow === 0 && before.failuresInRow === 0)) return;
    await this.#survive(async () => {
      const told = await this.#options.store.alertState(mirror.id);
      await this.#tell({ mirror, run, schedule: before, told, health: { failuresInRow, behind: told.behind } });
    });
  }

  async look(): Promise<void> {
    const { store, clock } = this.#options;
    const nowMs = clock.now();
    const { maintenance, quietHours } = await store.settings();
    if (maintenance || isQuiet(quietHours, nowMs)) this.#heldAtMs = Math.max(this.#heldAtMs, nowMs);
    for (const candidate of await store.alertCandidates(nowMs)) await this.#judge(candidate, nowMs);
  }

  async #judge({ mirror, schedule, held, told }: AlertCandidate, nowMs: number): Promise<void> {
    const tenantHeldAtMs = this.#tenantsHeldAtMs.get(mirror.tenant) ?? 0;
    if (held) {
      this.#tenantsHeldAtMs.set(mirror.tenant, Math.max(tenantHeldAtMs, nowMs));
      return;
    }
    const behind = isBehind({
      told: told.behind,
      lastCompletedAtMs: schedule.lastCompletedAtMs,
      createdAtMs: Date.parse(mirror.createdAt),
      everyMs: mirror.everyMs,
      freeSinceMs: Math.max(this.#heldAtMs, tenantHeldAtMs),
      nowMs,
    });
    const health = { failuresInRow: schedule.failuresInRow, behind };
    await this.#tell({ mirror, run: null, schedule, told, health });
  }

  async #tell(about: About): Promise<void> {
    const { store, clock, random } = this.#options;
    const nowMs = clock.now();
    const { alerts, state } = decideAlert(about.told, about.health, nowMs);
    if (alerts.length === 0) return;
    if (!(await store.saveAlertState(about.mirror.id, about.told, state))) return;
    for (const alert of alerts) {
      await this.#note(alert, about);
      const id = `msg_${random.uuid()}`;
      this.#webhook.post({ id, body: JSON.stringify(alertMessage(alert, about, nowMs)) });
    }
  }

  /** Runs have their own events; that a mirror is behind is seen here alone. */
  async #note(alert: AlertKind, { mirror, schedule }: About): Promise<void> {
    if (alert !== 'behind' && alert !== 'caught-up') return;
    await this.#options.store.addEvent({
      kind: alert === 'behind' ? 'warning' : 'information',
      tenant: mirror.tenant,
      application: mirror.application,
      message: WORDS[alert](mirror, schedule),
      hint: alert === 'behind' ? `speil center status ${mirror.tenant}` : null,
    });
  }

  async #target(): Promise<WebhookTarget> {
    const { store } = this.#options;
    const { webhook } = await store.settings();
    return webhook === null ? null : { url: webhook, secret: await store.webhookSecret() };
  }

  async #lookOnAndOn(): Promise<void> {
    const { clock } = this.#options;
    while (!this.#ending.signal.aborted) {
      await clock.sleep(LOOK_MS, this.#ending.signal).catch(() => undefined);
      if (!this.#ending.signal.aborted) await this.#survive(() => this.look());
    }
  }

  /** Alerts never hold up cycles: what fails here is logged, and the next cycle or look tries again. */
  async #survive(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.log.error({}, `alerts could not be decided: ${why}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#looking;
    await this.#webhook[Symbol.asyncDispose]();
  }
}

type About = {
  readonly mirror: Mirror;
  /** The run that ended, when it is about one. */
  readonly run: Run | null;
  readonly schedule: MirrorSchedule;
  readonly told: AlertState;
  readonly health: MirrorHealth;
};

const WORDS: Readonly<Record<AlertKind, (mirror: Mirror, schedule: MirrorSchedule) => string>> = {
  failed: ({ tenant, application }) => `the mirror of ${tenant} for ${application} fails`,
  recovered: ({ tenant, application }) => `the mirror of ${tenant} for ${application} works again`,
  behind: ({ tenant, application }, { lastCompletedAtMs }) =>
    `the mirror of ${tenant} for ${application} is behind its schedule: its last cycle completed ${
      lastCompletedAtMs === null ? 'never' : `at ${new Date(lastCompletedAtMs).toISOString()}`
    }`,
  'caught-up': ({ tenant, application }) => `the mirror of ${tenant} for ${application} has caught up`,
};

/** What is posted. Fields are only ever added. */
function alertMessage(alert: AlertKind, { mirror, run, schedule, health }: About, nowMs: number) {
  const { lastCompletedAtMs } = schedule;
  return {
    type: `mirror.${alert}`,
    timestamp: new Date(nowMs).toISOString(),
    data: {
      tenant: mirror.tenant,
      application: mirror.application,
      message: WORDS[alert](mirror, schedule),
      failuresInRow: health.failuresInRow,
      lastCompletedAt: lastCompletedAtMs === null ? null : new Date(lastCompletedAtMs).toISOString(),
      runId: run?.id ?? null,
      error: run?.error ?? run?.report?.error ?? null,
    },
  };
}
