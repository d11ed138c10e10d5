import type { ServeOptions } from './serve.ts';

/** What an executor's process is told when it is started, as JSON in its first argument. */
export type ExecutorArguments = Pick<ServeOptions, 'path' | 'role' | 'cache'>;

/** The executor's end of the socket that requests come over. */
export const DESCRIPTOR = 3;

/** A socket that nothing is sent over: it closes when the server has ended. */
export const LIFELINE = 0;
