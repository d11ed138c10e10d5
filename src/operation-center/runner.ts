import { SpeilError } from '../core/error.ts';
import { Intake, LOOK_MS } from './intake.ts';
import { Lease } from './lease.ts';
import type { CenterSettings, LastRun, Mirror, Run } from './model.ts';
import { type Claim, type CycleQueue, createCycleQueue, type JobDatabase, LEASE_MS } from './queue.ts';
import { type CycleParts, runCycle } from './run-cycle.ts';
import type { Runner, RunnerState } from './runner-port.ts';
import { hindrance } from './schedule.ts';
import type { CycleBasis } from './store.ts';

export type RunnerOptions = CycleParts & {
  readonly database: JobDatabase;
  /** Cycles, and with them opened sources, at the same time; {@link CYCLES_MAX}. */
  readonly cyclesMax?: number | undefined;
  /** For tests; {@link LEASE_MS}. */
  readonly leaseMs?: number | undefined;
};

export interface CenterRunner extends Runner {
  /** Takes up work; resolves once it has begun to. Throws `CENTER_DATABASE_FAILED`. */
  start(): Promise<void>;
  /** Takes up no more work; resolves when the cycles under way have ended after their batch. */
  stop(): Promise<void>;
  /** A client dialled in: cycles of its mirrors that failed are due now. */
  clientConnected(application: string): Promise<void>;
}

export const CYCLES_MAX = 20;

/** How often a lease is renewed while it lasts: two renewals may fail. */
const RENEWALS = 3;

/** A dialled client is connected to one of several centers: so often a cycle is handed on before it counts as failed. */
const HANDOVERS_MAX = 3;
const PRUNE_EVERY_MS = 5 * 60_000;

/** Somebody waits for it: soon enough for a person, seldom enough for a hundred of them. */
const WAIT_POLL_MS = 250;
/** Runs of one mirror that are looked through for the one that is waited for. */
const WAITED_RUNS_MAX = 20;

/** What a runner does again and again: take up cycles, and tend those that run. */
type Duty = 'take up' | 'tend';

export const createRunner = (options: RunnerOptions): CenterRunner => new CycleRunner(options);

class CycleRunner implements CenterRunner {
  readonly #options: RunnerOptions;
  readonly #queue: CycleQueue;
  readonly #leaseMs: number;
  readonly #intake: Intake;
  readonly #running = new Map<string, { readonly lease: Lease; readonly done: Promise<void> }>();
  readonly #ending = new AbortController();
  #pause = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #isReady = false;
  /** What did not work when it was last tried. */
  readonly #failing = new Set<Duty>();
  #prunedAtMs = 0;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#queue = createCycleQueue({
      database: options.database,
      leaseMs: this.#leaseMs,
      onError: (error) => this.#tellFailure('tend', error),
    });
    this.#intake = new Intake({
      store: options.store,
      clock: options.clock,
      queue: this.#queue,
      cyclesMax: options.cyclesMax ?? CYCLES_MAX,
      running: this.#running,
    });
  }

  async start(): Promise<void> {
    const { database, store } = this.#options;
    await this.#queue.start();
    if (database.kind === 'pglite') await store.interruptRuns({});
    this.#isReady = true;
    const renewMs = this.#leaseMs / RENEWALS;
    this.#loops = Promise.all([this.#repeat('take up', LOOK_MS), this.#repeat('tend', renewMs)]);
  }

  async stop(): Promise<void> {
    if (!this.#isReady) return;
    this.#isReady = false;
    this.#ending.abort();
    this.#pause.abort();
    for (const { lease } of this.#running.values()) lease.end('stopping');
    await this.#loops;
    await Promise.all([...this.#running.values()].map(({ done }) => done));
    await this.#queue.stop();
  }

  state(): RunnerState {
    return {
      running: this.#running.size,
      queued: this.#intake.waitingCount,
      ready: this.#isReady && this.#failing.size === 0,
    };
  }

  isRunning(mirrorId: string): boolean {
    return this.#running.has(mirrorId);
  }

  async requestRun(mirrorId: string): Promise<{ readonly lastRunId: string | null }> {
    const [last] = await this.#runsOf(mirrorId, 1);
    await this.#options.store.saveSchedule(mirrorId, { requested: true });
    this.#intake.forget(mirrorId);
    this.#wake();
    return { lastRunId: last?.id ?? null };
  }

  async waitForRun(
    mirrorId: string,
    { afterRunId, waitMs, signal }: Parameters<Runner['waitForRun']>[1],
  ): Promise<Run | null> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + waitMs;
    let lookedAtId = afterRunId;
    for (;;) {
      const last = await this.#lastRunOf(mirrorId);
      if (last !== null && (last.id !== lookedAtId || (last.finishedAt !== null && last.id !== afterRunId))) {
        const ended = await this.#firstEnded(mirrorId, afterRunId);
        if (ended !== null) return ended;
        lookedAtId = last.id;
      }
      const leftMs = untilMs - clock.monotonicMs();
      if (leftMs <= 0) return null;
      await clock.sleep(Math.min(WAIT_POLL_MS, leftMs), signal);
    }
  }

  async clientConnected(application: string): Promise<void> {
    const { store, clock } = this.#options;
    const nowMs = clock.now();
    for (const { mirror, schedule } of await store.schedules()) {
      const isMeant = mirror.application === application && mirror.transport.kind === 'dialled';
      if (!isMeant || schedule.failuresInRow === 0 || schedule.dueAtMs <= nowMs) continue;
      await store.saveSchedule(mirror.id, { dueAtMs: nowMs });
    }
    this.#wake();
  }

  async #lastRunOf(mirrorId: string): Promise<LastRun | null> {
    const { store } = this.#options;
    const { tenant, application } = await this.#mirror(mirrorId);
    return (await store.lastRuns(tenant)).find((run) => run.application === application) ?? null;
  }

  async #firstEnded(mirrorId: string, afterRunId: string | null): Promise<Run | null> {
    const runs = await this.#runsOf(mirrorId, WAITED_RUNS_MAX);
    const known = runs.findIndex(({ id }) => id === afterRunId);
    const later = runs.slice(0, known === -1 ? runs.length : known);
    return later.findLast(({ finishedAt }) => finishedAt !== null) ?? null;
  }

  async #mirror(mirrorId: string): Promise<Mirror> {
    const mirror = await this.#options.store.mirrorById(mirrorId);
    if (mirror !== null) return mirror;
    throw new SpeilError('NOT_FOUND', 'the mirror was removed from the operation center');
  }

  /** The newest first. */
  async #runsOf(mirrorId: string, limit: number): Promise<readonly Run[]> {
    const { tenant, application } = await this.#mirror(mirrorId);
    return this.#options.store.runs({ tenant, application, limit });
  }

  /** Has the center look for due mirrors now. */
  #wake(): void {
    this.#intake.lookNow();
    this.#pause.abort();
  }

  /** Does the work again and again until the runner ends; failures are told, and end nothing. */
  async #repeat(duty: Duty, everyMs: number): Promise<void> {
    const { clock } = this.#options;
    const wakes = duty === 'take up';
    while (!this.#ending.signal.aborted) {
      const pause = new AbortController();
      if (wakes) this.#pause = pause;
      await (wakes ? this.#takeUp() : this.#tend()).then(
        () => this.#tellRecovery(duty),
        (error: unknown) => this.#tellFailure(duty, error),
      );
      const until = wakes ? pause.signal : this.#ending.signal;
      if (!this.#ending.signal.aborted) await clock.sleep(everyMs, until).catch(() => undefined);
    }
  }

  #tellFailure(duty: Duty, error: unknown): void {
    if (this.#failing.size === 0)
      this.#options.log.error({ error }, 'the center cannot work with its database; it tries again');
    this.#failing.add(duty);
  }

  #tellRecovery(duty: Duty): void {
    if (this.#failing.delete(duty) && this.#failing.size === 0)
      this.#options.log.info({}, 'the center works with its database again');
  }

  async #takeUp(): Promise<void> {
    const settings = await this.#options.store.settings();
    if (settings.maintenance) {
      for (const { lease } of this.#running.values()) lease.end('maintenance');
      return;
    }
    const { claims, claimedAtMs } = await this.#intake.take(settings);
    for (const claim of claims) this.#begin(claim, claimedAtMs, settings);
  }

  #begin(claim: Claim, claimedAtMs: number, settings: CenterSettings): void {
    const lease = new Lease(claim, { clock: this.#options.clock, leaseMs: this.#leaseMs, claimedAtMs });
    if (!this.#isReady) lease.end('stopping');
    const done = this.#run(lease, settings)
      .catch((error: unknown) => this.#tellFailure('take up', error))
      .finally(() => {
        lease[Symbol.dispose]();
        this.#running.delete(claim.mirrorId);
        if (this.#intake.isWorthwhile) this.#pause.abort();
      });
    this.#running.set(claim.mirrorId, { lease, done });
  }

  /** When the center's database fails on the way, the claim is left to lapse: somebody takes the cycle up after that. */
  async #run(lease: Lease, settings: CenterSettings): Promise<void> {
    const { store } = this.#options;
    const { claim } = lease;
    const basis = await store.cycleBasis(claim.mirrorId);
    if (basis === null) return void (await this.#queue.release(claim));
    const { tenant, application } = basis.mirror;
    if (claim.earlierClaims > 0) await store.interruptRuns({ tenant, application });
    if (!this.#isReady) return await this.#queue.handBack(claim);
    if (this.#isForAnother(basis, claim)) return await this.#handOn(claim);
    const isHindered = hindrance({ settings, ...basis, nowMs: this.#options.clock.now() }) !== null;
    if (isHindered) return void (await this.#queue.release(claim));
    const outcome = await runCycle(this.#options, basis, lease).catch(goneMeanwhile);
    if (outcome === null) return;
    if (outcome === 'interrupted' && !this.#isReady) return await this.#queue.handBack(claim);
    await this.#queue.release(claim);
  }

  async #handOn(claim: Claim): Promise<void> {
    this.#intake.leaveToOthers(claim.tenant);
    await this.#queue.handBack(claim);
  }

  #isForAnother({ mirror }: CycleBasis, { earlierClaims }: Claim): boolean {
    const { database, clients } = this.#options;
    return database.kind === 'postgres' && earlierClaims < HANDOVERS_MAX && !clients.isReachable(mirror);
  }

  /** Renews what runs, ends what must not run any more, and does what has to be done now and then. */
  async #tend(): Promise<void> {
    const { clock, store } = this.#options;
    await Promise.all([...this.#running.values()].map(({ lease }) => this.#renew(lease)));
    await this.#queue.freeLapsed();
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#prunedAtMs < PRUNE_EVERY_MS) return;
    this.#prunedAtMs = nowMs;
    await store.prune();
  }

  async #renew(lease: Lease): Promise<void> {
    const { clock, store } = this.#options;
    const sentAtMs = clock.monotonicMs();
    try {
      if (await this.#queue.renew(lease.claim)) lease.renewed(sentAtMs);
      else if (this.#running.has(lease.claim.mirrorId)) lease.end('lost');
      const basis = await store.cycleBasis(lease.claim.mirrorId);
      if (basis === null) lease.end('removed');
      else if (basis.tenant.maintenance) lease.end('maintenance');
    } finally {
      lease.check();
    }
  }
}

/** The mirror was removed while its cycle ran: there is nothing left to be kept of it. */
function goneMeanwhile(error: unknown): 'interrupted' {
  if (error instanceof SpeilError && error.code === 'NOT_FOUND') return 'interrupted';
  throw error;
}
