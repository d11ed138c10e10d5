import * as z from 'zod';
import { SpeilError } from '../../core/error.ts';
import { errorAnswer } from '../call-handler.ts';
import type { CallAnswer, CallRequest } from '../exchange.ts';
import { type Channel, CLOSE_CODES, closedError } from './channel.ts';
import { encodeFrame, type Frame, protocolError } from './frames.ts';
import { ANSWER_BYTES_MAX, CALLS_OPEN_BYTES_MAX, CALLS_OPEN_MAX, CALLS_WAITING_MAX } from './limits.ts';
import { Assembly, framesOf } from './pieces.ts';

const AnswerShape = z.object({
  status: z.int().min(100).max(599),
  encoding: z.enum(['identity', 'zstd']),
  bytes: z.int().min(0).max(ANSWER_BYTES_MAX),
});

type AnswerHead = Omit<CallAnswer, 'body'>;

type Call = {
  readonly request: CallRequest;
  readonly resolve: (answer: CallAnswer) => void;
  readonly reject: (reason: unknown) => void;
  /** Something of it was sent. */
  isOnItsWay: boolean;
  /** Nobody waits for it any more. When it is on its way it counts until the client has answered. */
  isCancelled: boolean;
};

/** The center's side of the calls that go through one connection. */
export class CallsOut {
  readonly #channel: Channel;
  readonly #callBytesMax: number;
  readonly #open = new Map<number, Call>();
  readonly #waiting: Call[] = [];
  #openBytes = 0;
  #lastId = 0;
  #incoming: { readonly id: number; readonly head: AnswerHead; readonly assembly: Assembly } | null = null;
  #refusal: SpeilError | null = null;

  constructor(channel: Channel, callBytesMax: number) {
    this.#channel = channel;
    this.#callBytesMax = callBytesMax;
    channel.serve((frame) => this.#take(frame));
    void channel.closed.then((closed) => this.#end(closedError(closed)));
  }

  /** False once the client ends or the connection is lost. */
  get takesCalls(): boolean {
    return this.#refusal === null && this.#channel.isOpen;
  }

  get open(): number {
    return this.#open.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  send(request: CallRequest, signal: AbortSignal): Promise<CallAnswer> {
    const refusal = signal.aborted ? signal.reason : this.#refusal;
    if (refusal !== null) return Promise.reject(refusal);
    if (request.body.length > this.#callBytesMax) {
      return Promise.resolve(errorAnswer(tooLarge(request.body.length, this.#callBytesMax)));
    }
    if (this.#waiting.length >= CALLS_WAITING_MAX) return Promise.resolve(errorAnswer(tooMany()));
    const { promise, resolve, reject } = Promise.withResolvers<CallAnswer>();
    const call: Call = { request, resolve, reject, isOnItsWay: false, isCancelled: false };
    const cancel = () => this.#cancel(call, signal.reason);
    signal.addEventListener('abort', cancel, { once: true });
    this.#waiting.push(call);
    this.#admit();
    return promise.finally(() => signal.removeEventListener('abort', cancel));
  }

  #admit(): void {
    for (;;) {
      const [call] = this.#waiting;
      if (call === undefined || !this.#hasRoomFor(call)) return;
      this.#waiting.shift();
      this.#begin(call);
    }
  }

  #hasRoomFor({ request }: Call): boolean {
    if (this.#open.size === 0) return true;
    return this.#open.size < CALLS_OPEN_MAX && this.#openBytes + request.body.length <= CALLS_OPEN_BYTES_MAX;
  }

  #begin(call: Call): void {
    const id = ++this.#lastId;
    this.#open.set(id, call);
    this.#openBytes += call.request.body.length;
    this.#channel.send(framesOfCall(id, call));
  }

  #cancel(call: Call, reason: unknown): void {
    call.reject(reason);
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    const [id] = [...this.#open].find(([, open]) => open === call) ?? [];
    if (id === undefined) return;
    call.isCancelled = true;
    if (call.isOnItsWay) this.#channel.sendFirst(encodeFrame({ kind: 'cancel', id }));
    else this.#forget(id, call);
  }

  #take(frame: Frame): void {
    if (frame.kind === 'answer') this.#beginAnswer(frame);
    else if (frame.kind === 'answerPiece') this.#continueAnswer(frame);
    else if (frame.kind === 'leaving') this.#leave();
    else throw protocolError(`${frame.kind} from a client`);
  }

  /** The client ends. What it has is answered; the rest finds another way. */
  #leave(): void {
    this.#refusal = closedError({ code: CLOSE_CODES.leaving, reason: 'the client ends' });
    for (const call of this.#waiting.splice(0)) call.reject(this.#refusal);
  }

  #beginAnswer({ id, json, payload }: Frame): void {
    const parsed = AnswerShape.safeParse(json);
    if (!parsed.success) throw protocolError('an answer that is none');
    if (!this.#open.has(id)) throw protocolError('an answer to no call');
    if (this.#incoming !== null) throw protocolError('an answer inside another');
    const { bytes, ...head } = parsed.data;
    this.#incoming = { id, head, assembly: new Assembly(bytes) };
    this.#addToAnswer(payload);
  }

  #continueAnswer({ id, payload }: Frame): void {
    if (this.#incoming?.id !== id) throw protocolError('a piece of no answer');
    this.#addToAnswer(payload);
  }

  #addToAnswer(piece: Uint8Array): void {
    if (this.#incoming === null) return;
    const { id, head, assembly } = this.#incoming;
    const body = assembly.add(piece);
    if (body === null) return;
    this.#incoming = null;
    this.#finish(id, { ...head, body });
  }

  #finish(id: number, answer: CallAnswer): void {
    const call = this.#open.get(id);
    if (call === undefined) return;
    call.resolve(answer);
    this.#forget(id, call);
  }

  #forget(id: number, call: Call): void {
    this.#open.delete(id);
    this.#openBytes -= call.request.body.length;
    this.#admit();
  }

  #end(reason: SpeilError): void {
    this.#refusal = reason;
    const calls = [...this.#open.values(), ...this.#waiting.splice(0)];
    this.#open.clear();
    for (const call of calls) call.reject(reason);
  }
}

function* framesOfCall(id: number, call: Call): Generator<Uint8Array, void> {
  if (call.isCancelled) return;
  call.isOnItsWay = true;
  const { body, ...head } = call.request;
  const json = { call: head.call, token: head.token, encoding: head.encoding, bytes: body.length };
  const isWanted = () => !call.isCancelled;
  yield* framesOf({ first: 'call', further: 'callPiece', id, json, body, isWanted });
}

const tooLarge = (bytes: number, bytesMax: number): SpeilError =>
  new SpeilError('CALL_TOO_LARGE', `a call of ${bytes} bytes is larger than the client takes, ${bytesMax}`, {
    hint: 'Make the batches smaller: speil center preferences <tenant> BatchSize=500000',
  });

const tooMany = (): SpeilError =>
  new SpeilError('MIRROR_BUSY', `${CALLS_WAITING_MAX} calls wait for this client already`, {
    hint: 'Nothing to do: the next cycle tries again.',
    recovery: 'retry',
  });
