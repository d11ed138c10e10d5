import { Worker } from 'node:worker_threads';

/** Runs beside a thread that may be busy for long. The descriptor is a socket whose other end the parent holds. */
const WATCHER = `
const { Socket } = require('node:net');
const { workerData } = require('node:worker_threads');
new Socket({ fd: workerData }).on('error', () => {}).on('close', () => process.kill(process.pid, 'SIGKILL')).resume();
`;

const WATCHER_MEMORY_MB = 8;

/**
 * Ends this process at once when the parent has ended, also when it was killed and this process is busy: what it works on
 * may be somebody else's by then.
 */
export function endWithParent(descriptor: number): void {
  const worker = new Worker(WATCHER, {
    eval: true,
    workerData: descriptor,
    resourceLimits: { maxOldGenerationSizeMb: WATCHER_MEMORY_MB, maxYoungGenerationSizeMb: 1 },
  });
  worker.unref();
}

/** Signals for the whole terminal are for the parent, which ends this process when it is done with it. */
export function leaveSignalsToParent(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
}
