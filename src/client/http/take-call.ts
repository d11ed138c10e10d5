import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { errorAnswer, type TrustingCallHandler } from '../call-handler.ts';
import type { BodyEncoding, CallAnswer, CallHandler, CallName } from '../exchange.ts';
import { tooLarge } from '../wire/compression.ts';
import { contractBroken } from '../wire/frame.ts';
import type { ByteBudget } from './byte-budget.ts';
import { HEARTBEAT_MS, INTERFACE, INTERFACE_HEADER } from './paths.ts';
import { readBody } from './read-body.ts';

type CallTaker = {
  readonly handler: CallHandler | TrustingCallHandler;
  readonly callBytesMax: number;
  readonly clock: Clock;
  readonly budget: ByteBudget;
  /** Is told, before the answer, that the caller is who it says. */
  readonly trusted: () => void;
};

/** The status of `TRUST_REFUSED`. */
const UNTRUSTED = 401;
/** A body of the largest size over a line of 2 Mbit/s. */
export const BODY_WAIT_MS = 300_000;
/** What a stranger may still be sending while it reads that it is refused: the first bytes of a task whose key is wrong. */
const STRANGER_BYTES_MAX = 1_000_000;
const STRANGER_WAIT_MS = 5_000;

/** Answers one call. Whoever is not trusted is refused before its body is read. */
export async function takeCall(
  taker: CallTaker,
  call: CallName,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const token = bearerOf(request);
    const refused = (await earlyRefusal(taker, call, token)) ?? refusalOfHead(taker, request);
    if (refused !== null) await refuse(taker, request, response, refused);
    else await answerCall(taker, { call, token }, request, response);
  } catch {
    // The caller is gone; there is nobody to tell.
    response.destroy();
  }
}

const bearerOf = ({ headers }: IncomingMessage): string =>
  /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? '';

const earlyRefusal = async ({ handler }: CallTaker, call: CallName, token: string): Promise<CallAnswer | null> =>
  'refusal' in handler ? handler.refusal(call, token) : null;

function refusalOfHead({ callBytesMax }: CallTaker, { headers }: IncomingMessage): CallAnswer | null {
  if (encodingOf(headers['content-encoding']) === null) {
    return errorAnswer(contractBroken('bodies are sent as they are, or compressed by zstd'));
  }
  return Number(headers['content-length'] ?? 0) > callBytesMax ? errorAnswer(tooLarge(callBytesMax)) : null;
}

const encodingOf = (name: string | undefined): BodyEncoding | null =>
  name === undefined || name === 'identity' ? 'identity' : name === 'zstd' ? 'zstd' : null;

/**
 * The answer goes out at once; what the caller is still sending is read away, up to a bound, because a connection that
 * is closed on it would take the answer with it. Callers that are trusted have more time for it than strangers.
 */
async function refuse(
  { callBytesMax, clock }: CallTaker,
  request: IncomingMessage,
  response: ServerResponse,
  answer: CallAnswer,
): Promise<void> {
  writeHead(response, answer, { connection: 'close' });
  response.write(answer.body);
  const isStranger = answer.status === UNTRUSTED;
  const bytesMax = isStranger ? Math.min(callBytesMax, STRANGER_BYTES_MAX) : callBytesMax;
  const over = new AbortController();
  const late = clock.sleep(isStranger ? STRANGER_WAIT_MS : BODY_WAIT_MS, over.signal).then(
    () => request.destroy(),
    () => undefined,
  );
  try {
    await readAway(request, bytesMax);
    response.end();
  } finally {
    over.abort();
    await late;
  }
}

async function readAway(request: IncomingMessage, bytesMax: number): Promise<void> {
  let left = bytesMax;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    left -= chunk.byteLength;
    if (left < 0) return;
  }
}

async function answerCall(
  taker: CallTaker,
  { call, token }: { readonly call: CallName; readonly token: string },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { handler, clock, budget, callBytesMax, trusted } = taker;
  const encoding = encodingOf(request.headers['content-encoding']) ?? 'identity';
  let held = 0;
  try {
    const body = await readBody(request, callBytesMax, (bytes) => {
      if (!budget.take(bytes)) throw tooBusy();
      held += bytes;
    });
    const answer = await withHeartbeats(clock, response, handler({ call, token, encoding, body }));
    if (answer.status !== UNTRUSTED) trusted();
    writeHead(response, answer, {});
    response.end(answer.body);
  } catch (error) {
    if (!(error instanceof SpeilError)) throw error;
    await refuse(taker, request, response, errorAnswer(error));
  } finally {
    budget.give(held);
  }
}

const tooBusy = (): SpeilError =>
  new SpeilError('MIRROR_BUSY', 'the mirror client has its hands full', {
    hint: 'The call is repeated.',
    recovery: 'retry',
  });

function writeHead(response: ServerResponse, answer: CallAnswer, headers: Record<string, string>): void {
  response.writeHead(answer.status, {
    'content-type': answer.status === 200 ? 'application/octet-stream' : 'application/json',
    'content-length': answer.body.byteLength,
    [INTERFACE_HEADER]: INTERFACE,
    ...(answer.encoding === 'identity' ? {} : { 'content-encoding': answer.encoding }),
    ...headers,
  });
}

/** While work lasts, the caller hears that somebody is there. */
async function withHeartbeats<T>(clock: Clock, response: ServerResponse, work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const beating = beat(clock, response, over.signal);
  try {
    return await work;
  } finally {
    over.abort();
    await beating;
  }
}

async function beat(clock: Clock, response: ServerResponse, signal: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await clock.sleep(HEARTBEAT_MS, signal);
      if (!response.destroyed) response.writeProcessing();
    }
  } catch {
    // The work is done.
  }
}
