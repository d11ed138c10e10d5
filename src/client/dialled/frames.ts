import { SpeilError } from '../../core/error.ts';
import { FRAME_JSON_BYTES_MAX } from './limits.ts';

/** What a message of the connection is. The number is the one on the wire. */
export const FRAME_KINDS = {
  /** Center: who it is. */
  hello: 1,
  /** Client: who it is. */
  proof: 2,
  /** Center: the proof is accepted. */
  welcome: 3,
  /** Center: a call begins; with the first piece of its body. */
  call: 4,
  /** Center: the next piece of a call's body. */
  callPiece: 5,
  /** Client: an answer begins; with the first piece of its body. Its pieces follow before any other answer. */
  answer: 6,
  answerPiece: 7,
  /** Center: nobody waits for this call any more. It is answered all the same, if only by nothing. */
  cancel: 8,
  /** Client: send no more calls; those that run will be answered. */
  leaving: 9,
} as const;

export type FrameKind = keyof typeof FRAME_KINDS;

/**
 * A message: 12 bytes of header (version, kind, id of the call in 8 bytes, length of the JSON in 2), JSON in UTF-8,
 * then a piece of a body.
 */
export type Frame = {
  readonly kind: FrameKind;
  /** Of the call, ascending from 1; 0 in frames that belong to none. */
  readonly id: number;
  /** What was read from the JSON; undefined when there was none. To be validated by whoever takes the frame. */
  readonly json: unknown;
  readonly payload: Uint8Array;
};

const FRAME_VERSION = 1;
const HEADER_BYTES = 12;
const NOTHING = new Uint8Array(0);

const KIND_NAMES = new Map(Object.entries(FRAME_KINDS).map(([name, code]) => [code as number, name as FrameKind]));

export function encodeFrame({
  kind,
  id = 0,
  json,
  payload = NOTHING,
}: {
  readonly kind: FrameKind;
  readonly id?: number;
  readonly json?: unknown;
  readonly payload?: Uint8Array;
}): Buffer {
  const text = json === undefined ? NOTHING : Buffer.from(JSON.stringify(json));
  if (text.length > FRAME_JSON_BYTES_MAX) throw new RangeError(`the JSON of a ${kind} frame has ${text.length} bytes`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(FRAME_VERSION, 0);
  header.writeUInt8(FRAME_KINDS[kind], 1);
  header.writeBigUInt64BE(BigInt(id), 2);
  header.writeUInt16BE(text.length, 10);
  return Buffer.concat([header, text, payload]);
}

/** Throws `CONTRACT_BROKEN` for anything that {@link encodeFrame} cannot have made. The payload shares the bytes. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEADER_BYTES) throw protocolError(`a message of ${view.length} bytes`);
  const version = view.readUInt8(0);
  if (version !== FRAME_VERSION) throw protocolError(`a message of version ${version}`);
  const kind = KIND_NAMES.get(view.readUInt8(1));
  if (kind === undefined) throw protocolError(`a message of unknown kind ${view.readUInt8(1)}`);
  const id = view.readBigUInt64BE(2);
  if (id > BigInt(Number.MAX_SAFE_INTEGER)) throw protocolError('the id of a call is too large');
  const jsonBytes = view.readUInt16BE(10);
  const bodyAt = HEADER_BYTES + jsonBytes;
  if (jsonBytes > FRAME_JSON_BYTES_MAX || bodyAt > view.length) throw protocolError('a message is cut short');
  const json = jsonBytes === 0 ? undefined : parseJson(view.toString('utf8', HEADER_BYTES, bodyAt));
  return { kind, id: Number(id), json, payload: view.subarray(bodyAt) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw protocolError('a message holds no JSON where some should be');
  }
}

/** The other side does not speak this protocol; the connection ends. */
export const protocolError = (what: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the other side of the connection broke the protocol: ${what}`, {
    hint: 'Are both sides of a version of Speil that goes with the other? `speil --version`',
    recovery: 'retry',
  });
