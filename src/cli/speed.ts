/** Over this time the past fades to about a third, so that a rate is calm and still follows what happens. */
const MEMORY_MS = 8_000;

/** A smoothed rate: amounts and the time they took, both fading. A steady pace is told exactly, from the first moment. */
export type Speed = { readonly atMs: number; readonly amount: number; readonly spanMs: number };

export const Speed = {
  start: (nowMs: number): Speed => ({ atMs: nowMs, amount: 0, spanMs: 0 }),
  add: (speed: Speed, amount: number, nowMs: number): Speed => {
    const passedMs = Math.max(0, nowMs - speed.atMs);
    const fade = Math.exp(-passedMs / MEMORY_MS);
    const spanMs = MEMORY_MS * (1 - fade);
    const kept = passedMs > 0 ? spanMs / passedMs : 1;
    return { atMs: nowMs, amount: speed.amount * fade + amount * kept, spanMs: speed.spanMs * fade + spanMs };
  },
  perSecond: (speed: Speed): number => (speed.spanMs > 0 ? (speed.amount / speed.spanMs) * 1000 : 0),
};
