import type { Clock } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import type { MirrorClientService } from '../task/contract.ts';
import type { Claim } from './queue.ts';

/** A center counts its leases shorter than the database does, by this part, so that two never hold the same. */
const MARGIN = 0.1;

/** A call that is under way when its cycle has to end may be answered; one that hangs is cut after this. */
export const CALL_GRACE_MS = 10_000;

/** Why a cycle has to end before it is done. */
export type EndReason = 'stopping' | 'maintenance' | 'removed' | 'lost';

const WORDS: Readonly<Record<EndReason, string>> = {
  stopping: 'the operation center is stopping; whoever takes the cycle up goes on from here',
  maintenance: 'maintenance began; the cycle goes on from here when it is over',
  removed: 'the mirror was removed from the operation center',
  lost: 'the operation center did not renew its hold on the cycle in time; another may run it now',
};

/**
 * The right to run a cycle, for as long as it is renewed in time. A center that was frozen finds at its next call that the
 * time is over, before it has asked anybody.
 */
export class Lease implements Disposable {
  readonly claim: Claim;
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly #holdMs: number;
  readonly #controller = new AbortController();
  readonly #cut = new AbortController();
  readonly #over = new AbortController();
  #heldUntilMs: number;
  #reason: EndReason | null = null;

  constructor(
    claim: Claim,
    options: { clock: Pick<Clock, 'monotonicMs' | 'sleep'>; leaseMs: number; claimedAtMs: number },
  ) {
    this.claim = claim;
    this.#clock = options.clock;
    this.#holdMs = options.leaseMs * (1 - MARGIN);
    this.#heldUntilMs = options.claimedAtMs + this.#holdMs;
  }

  /** Aborted as soon as the cycle has to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborted when also the call under way has to end: at once when the lease was lost, else after a while. */
  get callSignal(): AbortSignal {
    return this.#cut.signal;
  }

  get reason(): EndReason | null {
    return this.#reason;
  }

  /** It was renewed by a statement that was sent at this time. */
  renewed(sentAtMs: number): void {
    this.#heldUntilMs = sentAtMs + this.#holdMs;
  }

  end(reason: EndReason): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    const error = new SpeilError('INTERRUPTED', WORDS[reason], { recovery: 'retry' });
    this.#controller.abort(error);
    const cut = () => this.#cut.abort(error);
    if (reason === 'lost') cut();
    else this.#clock.sleep(CALL_GRACE_MS, this.#over.signal).then(cut, () => undefined);
  }

  /** The cycle is over. */
  [Symbol.dispose](): void {
    this.#over.abort();
  }

  /** Ends it when its time is over. */
  check(): void {
    if (this.#clock.monotonicMs() >= this.#heldUntilMs) this.end('lost');
  }

  /** Throws `INTERRUPTED` when the cycle has to end. */
  assertHeld(): void {
    this.check();
    this.signal.throwIfAborted();
  }
}

/** Lets no call through that the lease does not cover, and no wipe that `beforeWipe` objects to by throwing. */
export function guarded(
  client: MirrorClientService,
  lease: Lease,
  hooks: {
    readonly beforeWipe: () => Promise<void>;
    readonly afterWipe: (table: Parameters<MirrorClientService['wipe']>[0]) => Promise<void>;
  },
): MirrorClientService {
  const held = <T>(call: () => Promise<T>): Promise<T> => {
    lease.assertHeld();
    return call();
  };
  return {
    authenticate: async (request) => held(() => client.authenticate(request)),
    tableSchema: async (request) => held(() => client.tableSchema(request)),
    prepareRowData: async (request) => client.prepareRowData?.(request),
    rowData: async (request) => held(() => client.rowData(request)),
    replicationCompleted: async (request) => held(() => client.replicationCompleted(request)),
    wipe: async (request) => {
      await hooks.beforeWipe();
      const answer = await held(() => client.wipe(request));
      await hooks.afterWipe(request);
      return answer;
    },
  };
}
