/** The five calls as they are named on the wire. */
export const CALL_NAMES = ['authenticate', 'table-schema', 'wipe', 'row-data', 'replication-completed'] as const;

export type CallName = (typeof CALL_NAMES)[number];

/** How a body is compressed. */
export type BodyEncoding = 'identity' | 'zstd';

/** One of the five calls on its way: plain bytes that any transport can carry. */
export type CallRequest = {
  readonly call: CallName;
  /** The signed token of the caller, for this call only. */
  readonly token: string;
  readonly encoding: BodyEncoding;
  readonly body: Uint8Array;
};

export type CallAnswer = {
  /** As in HTTP: 200 answered; 400 not understood; 401 not trusted; 413 too large; 500 and 503 failed. */
  readonly status: number;
  readonly encoding: BodyEncoding;
  /** The answer of the call, or an `ErrorReport` as JSON when the status is not 200. */
  readonly body: Uint8Array;
};

/**
 * Carries one call to a mirror client and its answer back, over whatever there is. Throws `UNREACHABLE`, `TLS_FAILED`,
 * `CONNECTION_LOST` or `CLIENT_NOT_CONNECTED` when no answer came; whether the call was done is then unknown, and it is
 * safe to repeat. Calls may be sent at the same time.
 */
export interface Exchange {
  readonly display: string;
  send(request: CallRequest, signal: AbortSignal): Promise<CallAnswer>;
}

/** The mirror client's end of an exchange. Never throws: every failure is an answer. */
export type CallHandler = (request: CallRequest) => Promise<CallAnswer>;
