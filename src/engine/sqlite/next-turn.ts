/** Lets everything else that waits have its turn: looking at many pages blocks the process. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
