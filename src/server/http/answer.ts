import type { ServerResponse } from 'node:http';
import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';

/** Says that it is a server of ours that answers. */
export const SERVICE_HEADER = 'x-speil-service';
export const SERVICE = 'server';

const STATUS: Readonly<Record<string, number>> = {
  USAGE: 400,
  NOT_A_DATABASE: 400,
  AUTHENTICATION_REFUSED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  REQUEST_TOO_LARGE: 413,
  DISK_FULL: 507,
  INTERNAL: 500,
};

/** What is named and none of the caller's fault. */
const UNAVAILABLE = 503;
const TOO_MANY_REQUESTS = 429;

export function statusOf({ code, recovery }: ErrorReport): number {
  if (code === 'AUTHENTICATION_REFUSED' && recovery === 'retry') return TOO_MANY_REQUESTS;
  return STATUS[code] ?? UNAVAILABLE;
}

/** Integers beyond a double's are texts. */
const asText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    [SERVICE_HEADER]: SERVICE,
  });
  response.end(JSON.stringify(body, asText));
}

/** Answers a failure and says which; an answer that has begun is cut. */
export function answerError(response: ServerResponse, error: unknown): ErrorReport {
  const report = errorReport(error);
  const status = statusOf(report);
  if (status === TOO_MANY_REQUESTS && !response.headersSent) response.setHeader('retry-after', '60');
  answerJson(response, status, report);
  return report;
}

/** For clients that show nothing but the message. */
export function answerClientError(response: ServerResponse, error: unknown): ErrorReport {
  const report = errorReport(error);
  const message = report.hint === null ? report.message : `${report.message}. ${report.hint}`;
  answerJson(response, statusOf(report), { ...report, message, hint: null });
  return report;
}

export const noSuchPath = (): SpeilError =>
  new SpeilError('NOT_FOUND', 'there is no such path', {
    hint: 'A database is at http://host:port/<name>/ (mind the slash at its end); administration is below /admin.',
  });
