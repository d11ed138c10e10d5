import { type Db, PgBoss } from 'pg-boss';
import { z } from 'zod';
import { SpeilError } from '../core/error.ts';
import { FIRST_COPY_PRIORITY_MAX, type Running, type Startable } from './schedule.ts';

/** Where the jobs are kept: the center's own database. */
export interface JobDatabase {
  /** PGlite belongs to one process alone; a server may have several centers. */
  readonly kind: 'pglite' | 'postgres';
  executeSql(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  transaction<T>(work: (tx: Pick<JobDatabase, 'executeSql'>) => Promise<T>): Promise<T>;
}

/** A claim that was not renewed for so long passes to whoever asks next. */
export const LEASE_MS = 30_000;

/** The schema of the job tables in the center's database. */
const SCHEMA = 'speil_jobs';
const QUEUE = 'cycles';

/** pg-boss ends jobs that take longer than this; cycles end when they are done, first copies after days. */
const CYCLE_SECONDS_MAX = 10 * 365 * 24 * 3600;

/** A job passes from center to center as often as centers die; it is never given up, since its mirror stays due. */
const ATTEMPTS_MAX = 1_000_000;

/** A cycle that was handed back waits for so long, so that every center has looked for work before one takes it up. */
const HANDED_BACK_DELAY_S = 1;

/** Flows of jobs are not used; this is how rarely pg-boss looks for them. */
const UNUSED_INTERVAL_S = 24 * 3600;

/** Centers take up work one at a time, or two could begin two cycles of a tenant at once. Any number, the same for all. */
const CLAIM_LOCK = 7_364_531;

/** A cycle that this center, and no other, may run until the claim is released or lapses. */
export type Claim = {
  readonly mirrorId: string;
  readonly tenant: string;
  readonly firstCopy: boolean;
  /** How many claimed it before: they died, or handed it back. */
  readonly earlierClaims: number;
  /** The job, and which claim of it this is. */
  readonly attempt: { readonly id: string; readonly retryCount: number };
};

/**
 * The cycles that wait to be run or are run, in the center's database: each mirror is there at most once, and of each tenant
 * at most one is claimed, whatever number of centers there is. Nothing is lost with it: what is due stands in the schedules.
 */
export interface CycleQueue {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Those that are there already, waiting or claimed, stay as they are. */
  offer(cycles: readonly Startable[]): Promise<void>;
  /** The most urgent cycles, as many as there are places for, but none of these tenants. */
  claim(places: (taken: Running) => Running, exceptTenants?: readonly string[]): Promise<readonly Claim[]>;
  /** False when the claim has lapsed: another center may run the cycle. */
  renew(claim: Claim): Promise<boolean>;
  /** The cycle has ended. False when the claim had lapsed. */
  release(claim: Claim): Promise<boolean>;
  /** Another center, or this one, takes the cycle up after a second. */
  handBack(claim: Claim): Promise<void>;
  /** Frees claims that have lapsed. Some center does so every few seconds. */
  freeLapsed(): Promise<void>;
}

export type QueueOptions = {
  readonly database: JobDatabase;
  readonly onError: (error: unknown) => void;
  /** For tests; {@link LEASE_MS}. */
  readonly leaseMs?: number | undefined;
};

const Data = z.object({ mirrorId: z.string(), tenant: z.string(), firstCopy: z.boolean() });
const Affected = z.object({ affected: z.number() });

export function createCycleQueue({ database, onError, leaseMs = LEASE_MS }: QueueOptions): CycleQueue {
  const boss = new PgBoss({
    db: asBossDatabase(database),
    backend: database.kind,
    schema: SCHEMA,
    supervise: false,
    schedule: false,
    monitorIntervalSeconds: 1,
    superviseIntervalSeconds: 1,
    flowIntervalSeconds: UNUSED_INTERVAL_S,
    monitorVacuum: database.kind === 'postgres',
    reindex: database.kind === 'postgres',
  });
  boss.on('error', onError);
  const settle = async (work: Promise<object>): Promise<boolean> => Affected.parse(await work).affected > 0;
  return {
    start: async () => {
      await boss.start();
      await boss.createQueue(QUEUE, { policy: 'exclusive', retryLimit: ATTEMPTS_MAX });
      // Of a process that is no more: nobody else has this database, so nobody runs them.
      if (database.kind === 'pglite') await boss.deleteAllJobs(QUEUE);
    },
    stop: () => boss.stop({ graceful: false, close: false }),
    offer: async (cycles) => {
      if (cycles.length > 0)
        await boss.insert(
          QUEUE,
          cycles.map((cycle) => jobOf(cycle, leaseMs)),
          { returnId: false },
        );
    },
    claim: (places, exceptTenants = []) =>
      oneAtATime(database, (db) => fetchClaims(boss, { db, ignoreGroups: [...exceptTenants] }, places)),
    renew: ({ attempt }) => settle(boss.touch(QUEUE, attempt)),
    release: ({ attempt }) => settle(boss.deleteJob(QUEUE, attempt)),
    handBack: async ({ attempt }) => void (await boss.fail(QUEUE, attempt)),
    freeLapsed: () => boss.supervise(QUEUE),
  };
}

const asBossDatabase = (session: Pick<JobDatabase, 'executeSql'>): Db => ({
  executeSql: (text, values) => session.executeSql(text, values),
});

const jobOf = ({ mirrorId, tenant, priority }: Startable, leaseMs: number) => ({
  data: { mirrorId, tenant, firstCopy: priority <= FIRST_COPY_PRIORITY_MAX },
  priority,
  singletonKey: mirrorId,
  group: { id: tenant },
  retryLimit: ATTEMPTS_MAX,
  expireInSeconds: CYCLE_SECONDS_MAX,
  retryDelay: HANDED_BACK_DELAY_S,
  heartbeatSeconds: Math.ceil(leaseMs / 1000),
});

function oneAtATime<T>(database: JobDatabase, work: (db: Db) => Promise<T>): Promise<T> {
  if (database.kind === 'pglite') return work(asBossDatabase(database));
  return database.transaction(async (tx) => {
    await tx.executeSql(`SELECT pg_advisory_xact_lock(${CLAIM_LOCK})`);
    return await work(asBossDatabase(tx));
  });
}

async function fetchClaims(
  boss: PgBoss,
  from: { readonly db: Db; readonly ignoreGroups: string[] },
  places: (taken: Running) => Running,
): Promise<readonly Claim[]> {
  const fetch = async (batchSize: number, priorities: { minPriority?: number; maxPriority?: number }) =>
    batchSize === 0 ? [] : await boss.fetch(QUEUE, { ...from, batchSize, groupConcurrency: 1, ...priorities });
  const catchUps = await fetch(places({ catchUps: 0, firstCopies: 0 }).catchUps, {
    minPriority: FIRST_COPY_PRIORITY_MAX + 1,
  });
  const firstCopies = await fetch(places({ catchUps: catchUps.length, firstCopies: 0 }).firstCopies, {
    maxPriority: FIRST_COPY_PRIORITY_MAX,
  });
  return [...catchUps, ...firstCopies].map(({ id, retryCount, data }) => ({
    ...Data.parse(data),
    earlierClaims: retryCount,
    attempt: { id, retryCount },
  }));
}

/** The failure of a center's database as its callers know it. */
export const queueFailed = (cause: unknown): SpeilError =>
  new SpeilError(
    'CENTER_DATABASE_FAILED',
    `the jobs of the center cannot be read: ${cause instanceof Error ? cause.message : cause}`,
    {
      hint: 'Is the database of the center there? Cycles go on as soon as it is.',
      recovery: 'retry',
      cause,
    },
  );
