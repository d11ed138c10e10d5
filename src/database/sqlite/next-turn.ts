/** Lets everything else that waits have its turn: reading a chunk blocks the process. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
