import type { Clock } from '../core/clock.ts';
import type { CenterSettings } from './model.ts';
import type { Claim, CycleQueue } from './queue.ts';
import { FIRST_COPY_PRIORITY_MAX, placesFor, type Running, type Startable, startable } from './schedule.ts';
import type { Store } from './store.ts';

/** How often a center looks for due mirrors. What is asked for at another center starts within this time. */
export const LOOK_MS = 500;

/** Due mirrors that are looked at in one round, of each kind: more than all centers together run at once. */
const DUE_MAX = 200;

/** A mirror that this center put into the queue is not put there again before this, or before its cycle has begun here. */
const OFFER_AGAIN_MS = 30_000;

/** Who handed a cycle on leaves it to others for so long. */
const HANDED_ON_MS = 3_000;

export type IntakeOptions = {
  readonly store: Store;
  readonly clock: Clock;
  readonly queue: CycleQueue;
  readonly cyclesMax: number;
  /** What this center runs now, by mirror. */
  readonly running: ReadonlyMap<string, { readonly lease: { readonly claim: Claim } }>;
};

export type Taken = { readonly claims: readonly Claim[]; readonly claimedAtMs: number };

/** Which cycles a center takes up: it looks for due mirrors, puts them into the queue, and takes out what it has room for. */
export class Intake {
  readonly #options: IntakeOptions;
  /** Offered by this center, and not seen to be taken up yet. */
  readonly #waiting = new Map<string, { readonly atMs: number; readonly firstCopy: boolean }>();
  /** Tenants of which a cycle was handed on, and until when it is left to others. */
  readonly #handedOn = new Map<string, number>();
  #lookAtMs = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Due cycles that wait, as far as this center knows. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Taking up costs the same for one cycle and for many: it waits until a quarter of the places is free. */
  get isWorthwhile(): boolean {
    const { running, cyclesMax } = this.#options;
    return this.#waiting.size > 0 && running.size <= cyclesMax * 0.75;
  }

  /** The next round looks for due mirrors, whenever the last one did. */
  lookNow(): void {
    this.#lookAtMs = 0;
  }

  /** May be put into the queue again at once. */
  forget(mirrorId: string): void {
    this.#waiting.delete(mirrorId);
  }

  /** Another center shall take it up. */
  leaveToOthers(tenant: string): void {
    this.#handedOn.set(tenant, this.#options.clock.monotonicMs() + HANDED_ON_MS);
  }

  async take(settings: CenterSettings): Promise<Taken> {
    const { clock, queue } = this.#options;
    const places = this.#places();
    if (places.catchUps + places.firstCopies === 0) return { claims: [], claimedAtMs: clock.monotonicMs() };
    const isTimeToLook = clock.monotonicMs() >= this.#lookAtMs;
    if (isTimeToLook) await this.#look(settings);
    const claimedAtMs = clock.monotonicMs();
    const wanted = (more: Running) => this.#wanted(this.#places(more), isTimeToLook);
    const claims = await queue.claim(wanted, this.#leftToOthers());
    for (const { mirrorId } of claims) this.#waiting.delete(mirrorId);
    if (claims.length === 0) this.#forgetTaken(places);
    return { claims, claimedAtMs };
  }

  #places(more: Running = { catchUps: 0, firstCopies: 0 }): Running {
    const { running, cyclesMax } = this.#options;
    const firstCopies = [...running.values()].filter(({ lease }) => lease.claim.firstCopy).length;
    return placesFor(cyclesMax, {
      catchUps: running.size - firstCopies + more.catchUps,
      firstCopies: firstCopies + more.firstCopies,
    });
  }

  /** Where enough waits already, only what somebody asked for is still looked for. */
  async #look(settings: CenterSettings): Promise<void> {
    const { store, clock, cyclesMax } = this.#options;
    this.#lookAtMs = clock.monotonicMs() + LOOK_MS;
    const nowMs = clock.now();
    const enough = cyclesMax * 2;
    const waiting = this.#waitingByKind();
    const catchUps = { copied: true, requestedOnly: waiting.catchUps >= enough };
    const firstCopies = { copied: false, requestedOnly: waiting.firstCopies >= enough };
    const due = [
      ...(await store.dueMirrors({ nowMs, limit: DUE_MAX, ...catchUps })),
      ...(await store.dueMirrors({ nowMs, limit: DUE_MAX, ...firstCopies })),
    ];
    const hasFirstCopyPlace = this.#places().firstCopies > 0;
    await this.#offer(startable(settings, due, { nowMs, hasFirstCopyPlace }));
  }

  /** What the queue has already is not put there at every look. */
  async #offer(due: readonly Startable[]): Promise<void> {
    const { clock, queue, running } = this.#options;
    const atMs = clock.monotonicMs();
    for (const [mirrorId, offered] of this.#waiting) {
      if (atMs - offered.atMs >= OFFER_AGAIN_MS) this.#waiting.delete(mirrorId);
    }
    const fresh = due.filter(({ mirrorId }) => !running.has(mirrorId) && !this.#waiting.has(mirrorId));
    await queue.offer(fresh);
    for (const { mirrorId, priority } of fresh) {
      this.#waiting.set(mirrorId, { atMs, firstCopy: priority <= FIRST_COPY_PRIORITY_MAX });
    }
  }

  /** Between two looks only that is asked for of which there is something, as far as this center knows. */
  #wanted(places: Running, hasLooked: boolean): Running {
    const waiting = this.#waitingByKind();
    return {
      catchUps: hasLooked || waiting.catchUps > 0 ? places.catchUps : 0,
      firstCopies: hasLooked || waiting.firstCopies > 0 ? places.firstCopies : 0,
    };
  }

  #waitingByKind(): Running {
    const firstCopies = [...this.#waiting.values()].filter(({ firstCopy }) => firstCopy).length;
    return { catchUps: this.#waiting.size - firstCopies, firstCopies };
  }

  #leftToOthers(): readonly string[] {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [tenant, untilMs] of this.#handedOn) if (untilMs <= nowMs) this.#handedOn.delete(tenant);
    return [...this.#handedOn.keys()];
  }

  /** Nothing was there though there were places for it: others took what seemed to wait. */
  #forgetTaken(places: Running): void {
    for (const [mirrorId, { firstCopy }] of this.#waiting) {
      if ((firstCopy ? places.firstCopies : places.catchUps) > 0) this.#waiting.delete(mirrorId);
    }
  }
}
