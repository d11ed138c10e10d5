import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import { SpeilError } from '../../core/error.ts';
import type { Log } from '../../service/log.ts';
import type { Caller, Gate } from '../access.ts';
import type { Databases } from '../databases/databases.ts';
import { noSuchPath } from '../http/answer.ts';
import type { ServerTokens } from '../tokens.ts';
import type { Transfers } from './transfers.ts';

/** Who the server is, for its status. */
export type ServerIdentity = { readonly name: string; readonly version: string; readonly sinceMs: number };

/** What the routes of administration work on. */
export type AdminParts = {
  readonly identity: ServerIdentity;
  readonly databases: Databases;
  readonly tokens: ServerTokens;
  readonly transfers: Transfers;
  readonly gate: Gate;
  readonly log: Log;
};

/** A request to administration. */
export type AdminCall = {
  readonly parts: AdminParts;
  readonly caller: Caller;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What stands in the path where its pattern has `:`. */
  readonly parameter: string;
};

/** Answers what is sent as JSON, null for nothing (204), or undefined when it has answered itself. */
export type AdminHandler = (call: AdminCall) => Promise<unknown> | unknown;

export type AdminRoute = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `databases/:/backup`; at most one part is a parameter. */
  readonly pattern: string;
  readonly handler: AdminHandler;
};

/** The route of a path, or what to answer in its place. */
export function findRoute(
  routes: readonly AdminRoute[],
  method: string | undefined,
  parts: readonly string[],
): { readonly route: AdminRoute; readonly parameter: string } {
  const fitting = routes.flatMap((route) => {
    const parameter = parameterOf(route.pattern.split('/'), parts);
    return parameter === null ? [] : [{ route, parameter }];
  });
  if (fitting.length === 0) throw noSuchPath();
  const found = fitting.find(({ route }) => route.method === method);
  if (found === undefined) throw wrongMethod(fitting.map(({ route }) => route.method));
  return found;
}

/** Null when the path is another. */
function parameterOf(pattern: readonly string[], parts: readonly string[]): string | null {
  if (pattern.length !== parts.length) return null;
  const fits = pattern.every((part, index) => part === ':' || part === parts[index]);
  return fits ? (parts[pattern.indexOf(':')] ?? '') : null;
}

const wrongMethod = (methods: readonly string[]): SpeilError =>
  new SpeilError('USAGE', `that path is asked by ${methods.join(' or ')}`);

/** More than any request to administration is long; files are not read by this. */
const BODY_BYTES_MAX = 65_536;

/** The body as JSON of this shape. Throws `USAGE` and `REQUEST_TOO_LARGE`. */
export async function bodyOf<T>(request: IncomingMessage, shape: z.ZodType<T>): Promise<T> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) throw new SpeilError('REQUEST_TOO_LARGE', 'the body of the request is too large');
    chunks.push(chunk);
  }
  const parsed = shape.safeParse(jsonOf(Buffer.concat(chunks).toString()));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SpeilError(
    'USAGE',
    `the body of the request does not fit: ${issue?.path.join('.') ?? ''} ${issue?.message}`,
    {
      hint: 'docs/server.md says what each request takes.',
    },
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SpeilError('USAGE', 'the body of the request is not JSON', { cause });
  }
}
