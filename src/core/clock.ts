/** Where time comes from. `runtime/` has the real one; everything else is handed one. */
export interface Clock {
  /** Milliseconds since 1970, UTC. For people and reports; never for measuring. */
  now(): number;
  /** Milliseconds on a clock that neither jumps nor goes back. For durations. */
  monotonicMs(): number;
  /** Resolves after `durationMs`, or rejects with the signal's reason as soon as it is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/** Where chance comes from. `runtime/` has the real one. */
export interface Random {
  /** A new random identifier, 128 bits, in the text form of a UUID. */
  uuid(): string;
  /** A number in [0, 1). */
  unit(): number;
}
