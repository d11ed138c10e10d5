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
};

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
 * is closed on it would take the answer with it.
 */
async function refuse(
  { callBytesMax }: CallTaker,
  request: IncomingMessage,
  response: ServerResponse,
  answer: CallAnswer,
): Promise<void> {
  writeHead(response, answer, { connection: 'close' });
  response.write(answer.body);
  let left = callBytesMax;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    left -= chunk.byteLength;
    if (left < 0) break;
  }
  response.end();
}

async function answerCall(
  taker: CallTaker,
  { call, token }: { readonly call: CallName; readonly token: string },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { handler, clock, budget, callBytesMax } = taker;
  const encoding = encodingOf(request.headers['content-encoding']) ?? 'identity';
  let held = 0;
  try {
    const body = await readBody(request, callBytesMax, (bytes) => {
      if (!budget.take(bytes)) throw tooBusy();
      held += bytes;
    });
    const answer = await withHeartbeats(clock, response, handler({ call, token, encoding, body }));
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
