import * as z from 'zod';
import { SpeilError } from '../../core/error.ts';
import { errorAnswer } from '../call-handler.ts';
import { CALL_NAMES, type CallAnswer, type CallHandler, type CallRequest } from '../exchange.ts';
import type { Channel } from './channel.ts';
import { encodeFrame, type Frame, protocolError } from './frames.ts';
import { ANSWER_BYTES_MAX, CALLS_OPEN_BYTES_MAX, CALLS_OPEN_MAX } from './limits.ts';
import { Assembly, framesOf } from './pieces.ts';

const CallShape = z.object({
  call: z.enum(CALL_NAMES),
  token: z.string(),
  encoding: z.enum(['identity', 'zstd']),
  bytes: z.int().min(0),
});
type CallHead = z.output<typeof CallShape>;

type Call = {
  readonly head: CallHead;
  /** Null once the call is complete and being worked on. */
  assembly: Assembly | null;
};

/** The client's side of the calls that come through one connection. */
export class CallsIn {
  readonly #channel: Channel;
  readonly #handler: CallHandler;
  readonly #callBytesMax: number;
  readonly #open = new Map<number, Call>();
  readonly #running = new Set<Promise<void>>();
  #openBytes = 0;
  #lastId = 0;

  constructor(channel: Channel, handler: CallHandler, callBytesMax: number) {
    this.#channel = channel;
    this.#handler = handler;
    this.#callBytesMax = callBytesMax;
    channel.serve((frame) => this.#take(frame));
  }

  /** Resolves when no call is being worked on and all answers are out of the house. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  leave(): void {
    this.#channel.sendFirst(encodeFrame({ kind: 'leaving' }));
  }

  #take(frame: Frame): void {
    if (frame.kind === 'call') this.#begin(frame);
    else if (frame.kind === 'callPiece') this.#continue(frame);
    else if (frame.kind === 'cancel') this.#cancel(frame);
    else throw protocolError(`${frame.kind} from a center`);
  }

  #begin({ id, json, payload }: Frame): void {
    const parsed = CallShape.safeParse(json);
    if (!parsed.success) throw protocolError('a call that is none of the five');
    if (id <= this.#lastId) throw protocolError('the id of a call was used before');
    this.#refuseTooMuch(parsed.data.bytes);
    this.#lastId = id;
    const call: Call = { head: parsed.data, assembly: new Assembly(parsed.data.bytes) };
    this.#open.set(id, call);
    this.#openBytes += call.head.bytes;
    this.#add(id, call, payload);
  }

  #refuseTooMuch(bytes: number): void {
    if (bytes > this.#callBytesMax) throw protocolError('a call is larger than this client takes');
    if (this.#open.size === 0) return;
    const isTooMuch = this.#open.size >= CALLS_OPEN_MAX || this.#openBytes + bytes > CALLS_OPEN_BYTES_MAX;
    if (isTooMuch) throw protocolError('more calls at a time than were agreed');
  }

  #continue({ id, payload }: Frame): void {
    const call = this.#open.get(id);
    if (call === undefined) throw protocolError('a piece of no call');
    this.#add(id, call, payload);
  }

  #add(id: number, call: Call, piece: Uint8Array): void {
    if (call.assembly === null) throw protocolError('a piece of a call that is complete');
    const body = call.assembly.add(piece);
    if (body === null) return;
    call.assembly = null;
    const { bytes: _bytes, ...head } = call.head;
    const running: Promise<void> = this.#answer(id, { ...head, body }).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #answer(id: number, request: CallRequest): Promise<void> {
    const answer = await Promise.try(this.#handler, request).catch((error) => errorAnswer(error));
    await this.#send(id, answer.body.length <= ANSWER_BYTES_MAX ? answer : errorAnswer(answerTooLarge(answer)));
  }

  /** Resolves when the last piece was given to the socket; never, when the connection is lost before. */
  #send(id: number, { status, encoding, body }: CallAnswer): Promise<void> {
    this.#openBytes -= this.#open.get(id)?.head.bytes ?? 0;
    this.#open.delete(id);
    const json = { status, encoding, bytes: body.length };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#channel.send(
      (function* () {
        yield* framesOf({ first: 'answer', further: 'answerPiece', id, json, body });
        resolve();
      })(),
    );
    return promise;
  }

  /** What is being worked on goes on; what has not come completely is answered with nothing. */
  #cancel({ id }: Frame): void {
    if (id > this.#lastId) throw protocolError('a call that never began is cancelled');
    if (this.#open.get(id)?.assembly == null) return;
    void this.#send(id, { status: 503, encoding: 'identity', body: new Uint8Array(0) });
  }
}

const answerTooLarge = ({ body }: CallAnswer): SpeilError =>
  new SpeilError(
    'CALL_TOO_LARGE',
    `the answer of the mirror client has ${body.length} bytes, more than ${ANSWER_BYTES_MAX}`,
    {
      hint: 'Mirror fewer tables in one task: SkipTable, or several applications.',
    },
  );
