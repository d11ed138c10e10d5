import type { ServerResponse } from 'node:http';
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
};

/** Answers with all of a body. */
export function send(response: ServerResponse, status: number, contentType: string, body: Encoded): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { 'content-type': contentType, 'content-length': bytes.byteLength });
  response.end(bytes);
}

/**
 * Answers with a failure: in JSON whatever the request was in, since that is what clients read errors from. A body that
 * was not read to its end is not waited for.
 */
export function sendError(response: ServerResponse, error: unknown): void {
  const told = asStatementError(error);
  if (!response.req.complete) response.setHeader('connection', 'close');
  send(response, STATUS[told.code as ErrorCode] ?? 500, 'application/json', failure(told));
}
