import type { IncomingMessage } from 'node:http';
import { SpeilError } from '../../core/error.ts';

/** Bytes that all requests together hold while they are being received. */
export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get taken(): number {
    return this.#bytes;
  }

  /** False when there is no room for so many more. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/**
 * All of a request's body. Rejects with `REQUEST_TOO_LARGE` as soon as it is known to be, with `SERVER_BUSY` when the
 * budget is used up, with `STREAM_CLOSED` when the client goes away before its end.
 */
export function readBody(request: IncomingMessage, bytesMax: number, budget: BodyBudget): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const end = (error: Error | null) => {
    request.off('data', take).off('end', whole).off('error', cut);
    budget.give(bytes);
    if (error !== null) reject(error);
    else resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes));
  };
  const whole = () => end(null);
  const cut = () => end(CUT);
  const take = (chunk: Buffer) => {
    if (bytes + chunk.length > bytesMax) return end(tooLarge(bytesMax));
    if (!budget.take(chunk.length)) return end(busy());
    bytes += chunk.length;
    chunks.push(chunk);
  };
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge(bytesMax));
  request.on('data', take).on('end', whole).on('error', cut);
  return promise;
}

const CUT = new SpeilError('STREAM_CLOSED', 'the client went away before the end of its request');

const tooLarge = (bytesMax: number): SpeilError =>
  new SpeilError('REQUEST_TOO_LARGE', `a request may have ${bytesMax} bytes`, { hint: 'Send less at once.' });

const busy = (): SpeilError =>
  new SpeilError('SERVER_BUSY', 'the server is receiving as much as it can hold', { recovery: 'retry' });
