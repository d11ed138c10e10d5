type Waiter = { readonly wake: () => void; readonly fail: (error: unknown) => void };

/** Those who wait for more. */
export class Growth {
  readonly #waiters = new Set<Waiter>();

  wait(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stop = (): void => reject(signal?.reason);
    const waiter = { wake: resolve, fail: reject };
    this.#waiters.add(waiter);
    signal?.addEventListener('abort', stop, { once: true });
    return promise.finally(() => {
      this.#waiters.delete(waiter);
      signal?.removeEventListener('abort', stop);
    });
  }

  announce(): void {
    for (const { wake } of this.#waiters) wake();
  }

  end(error: unknown): void {
    for (const { fail } of this.#waiters) fail(error);
  }
}
