import { CALL_NAMES, type CallName } from '../exchange.ts';

const CALLS_PATH = '/v1/calls/';

export const pathOfCall = (call: CallName): string => CALLS_PATH + call;

/** Null for a path that is no call's. */
export const callOfPath = (path: string): CallName | null =>
  CALL_NAMES.find((call) => path === CALLS_PATH + call) ?? null;

/** Says that an answer is a mirror client's own, not that of something before it. */
export const INTERFACE_HEADER = 'speil-interface';
export const INTERFACE = '1';

/** Which of Speil's services says that there is nothing of the kind here, for those who took it for the other. */
export const SERVICE_HEADER = 'speil-service';
export type ServiceName = 'mirror-client' | 'operation-center';

/** A server says this often that a call is still being worked on, as HTTP's 102; its caller takes longer silence for death. */
export const HEARTBEAT_MS = 15_000;
export const SILENCE_MS = 4 * HEARTBEAT_MS;
