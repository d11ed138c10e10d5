type Step<T> = { readonly value: T } | { readonly error: unknown } | { readonly done: true };

/**
 * Reads up to `countMax` values ahead of whoever takes them, so that source and mirror work at the same time. Values,
 * errors and the end come in order; a taker that stops early stops the reading.
 */
export async function* ahead<T>(values: AsyncIterable<T>, countMax: number): AsyncGenerator<T> {
  const ready: Step<T>[] = [];
  let wakeTaker = () => {};
  let wakeReader = () => {};
  let stopped = false;
  const read = async () => {
    try {
      for await (const value of values) {
        ready.push({ value });
        wakeTaker();
        while (ready.length >= countMax && !stopped) await new Promise<void>((resolve) => (wakeReader = resolve));
        if (stopped) return;
      }
      ready.push({ done: true });
    } catch (error) {
      ready.push({ error });
    }
    wakeTaker();
  };
  const reading = read();
  try {
    for (;;) {
      while (ready.length === 0) await new Promise<void>((resolve) => (wakeTaker = resolve));
      const step = ready.shift();
      wakeReader();
      if (step === undefined || 'done' in step) return;
      if ('error' in step) throw step.error;
      yield step.value;
    }
  } finally {
    stopped = true;
    wakeReader();
    await reading;
  }
}
