import type { ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import type { ErrorCode } from '../../core/error.ts';
import { failure } from './json-write.ts';
import type { Encoded } from './messages.ts';
import { asStatementError } from './protocol-error.ts';

const STATUS: Partial<Record<ErrorCode, number>> = {
  PROTOCOL_BROKEN: 400,
  BATON_REFUSED: 400,
  STREAM_EXPIRED: 400,
  STREAM_CLOSED: 400,
  AUTHENTICATION_REFUSED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  REQUEST_TOO_LARGE: 413,
  ANSWER_TOO_LARGE: 400,
  TOO_MANY_STREAMS: 503,
  SERVER_BUSY: 503,
  DATABASE_STOPPED: 503,
  DISK_FULL: 503,
  JOURNAL_FAILED: 503,
  STATEMENT_CANCELLED: 400,
};

/** Answers with all of a body. */
export function send(response: ServerResponse, status: number, contentType: string, body: Encoded): void {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  response.writeHead(status, { 'content-type': contentType, 'content-length': length });
  response.end(body);
}

/**
 * Answers with a failure: in JSON whatever the request was in, since that is what clients read errors from. Who is still
 * sending is listened to for a moment: a connection that is cut while it writes would lose it the answer.
 */
export async function sendError(response: ServerResponse, error: unknown, clock: Clock): Promise<void> {
  const told = asStatementError(error);
  const status = STATUS[told.code as ErrorCode] ?? 500;
  const request = response.req;
  if (request.complete) return send(response, status, 'application/json', failure(told));
  const body = Buffer.from(failure(told));
  response.writeHead(status, { ...JSON_HEADERS, 'content-length': body.byteLength, connection: 'close' });
  response.write(body);
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = new AbortController();
  request.once('close', resolve).resume();
  response.once('close', resolve);
  await Promise.race([promise, clock.sleep(LINGER_MS, done.signal).catch(() => {})]);
  done.abort();
  response.end();
}

const JSON_HEADERS = { 'content-type': 'application/json' };

/** Long enough for a client to read an answer that it did not expect yet. */
const LINGER_MS = 1_000;
