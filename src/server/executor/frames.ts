import { DefaultDeserializer, DefaultSerializer } from 'node:v8';

/**
 * Frames as they go over a socket: three lengths (payload, attachments' index, attachments), then these. The payload is a
 * value in V8's serialization; large blobs are not copied into it but follow it as they are.
 */
export const HEADER_BYTES = 12;

/** Blobs from this size on are sent apart: below it, copying is cheaper than one more piece. */
const ATTACHED_BYTES_MIN = 32_768;

const Where = { inline: 0, attached: 1 } as const;

class FrameSerializer extends DefaultSerializer {
  readonly attachments: Uint8Array[] = [];

  /** Called by the base class for every view of a buffer. */
  _writeHostObject(object: object): void {
    const view = object as Uint8Array;
    if (view.byteLength < ATTACHED_BYTES_MIN) {
      this.writeUint32(Where.inline);
      this.writeUint32(view.byteLength);
      this.writeRawBytes(view);
    } else {
      this.writeUint32(Where.attached);
      this.attachments.push(view);
    }
  }
}

class FrameDeserializer extends DefaultDeserializer {
  readonly #attachments: readonly Uint8Array[];
  #next = 0;

  constructor(payload: Uint8Array, attachments: readonly Uint8Array[]) {
    super(payload);
    this.#attachments = attachments;
  }

  _readHostObject(): Uint8Array {
    if (this.readUint32() === Where.inline) return Uint8Array.from(this.readRawBytes(this.readUint32()));
    const attachment = this.#attachments[this.#next++];
    if (attachment === undefined) throw new RangeError('a frame lacks an attachment');
    return attachment;
  }
}

/** The pieces of a frame, to be written one after another. */
export function encodeFrame(value: unknown): Uint8Array[] {
  const serializer = new FrameSerializer();
  serializer.writeHeader();
  serializer.writeValue(value);
  const payload = serializer.releaseBuffer();
  const { attachments } = serializer;
  const lengths = Uint32Array.from(attachments, ({ byteLength }) => byteLength);
  const index = new Uint8Array(lengths.buffer);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(index.length, 4);
  header.writeUInt32LE(
    attachments.reduce((sum, { byteLength }) => sum + byteLength, 0),
    8,
  );
  return attachments.length === 0 ? [header, payload] : [header, payload, index, ...attachments];
}

/** How long the frame is that begins with these bytes, header included. */
export const frameBytes = (header: Buffer): number =>
  HEADER_BYTES + header.readUInt32LE(0) + header.readUInt32LE(4) + header.readUInt32LE(8);

/** The value of a whole frame. Its large blobs are views of `frame`. */
export function decodeFrame(frame: Buffer): unknown {
  const payloadEnd = HEADER_BYTES + frame.readUInt32LE(0);
  const indexEnd = payloadEnd + frame.readUInt32LE(4);
  const attachments: Uint8Array[] = [];
  let at = indexEnd;
  for (let entry = payloadEnd; entry < indexEnd; entry += 4) {
    const length = frame.readUInt32LE(entry);
    attachments.push(frame.subarray(at, at + length));
    at += length;
  }
  const deserializer = new FrameDeserializer(frame.subarray(HEADER_BYTES, payloadEnd), attachments);
  deserializer.readHeader();
  return deserializer.readValue();
}

/** Cuts a stream of bytes into frames. A frame that came in one piece is not copied. */
export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0);
  /** A frame that comes in many pieces, and how much of it is there. */
  #large: Buffer | null = null;
  #filled = 0;

  /** The frames that are complete with these bytes. They are views: valid as long as `bytes` is not overwritten. */
  push(bytes: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let left = this.#fillLarge(bytes, frames);
    if (this.#rest.length > 0) {
      left = Buffer.concat([this.#rest, left]);
      this.#rest = left.subarray(0, 0);
    }
    while (left.length >= HEADER_BYTES && left.length >= frameBytes(left)) {
      const length = frameBytes(left);
      frames.push(left.subarray(0, length));
      left = left.subarray(length);
    }
    this.#keep(left);
    return frames;
  }

  #fillLarge(bytes: Buffer, frames: Buffer[]): Buffer {
    const large = this.#large;
    if (large === null) return bytes;
    const taken = bytes.copy(large, this.#filled);
    this.#filled += taken;
    if (this.#filled < large.length) return bytes.subarray(taken);
    frames.push(large);
    this.#large = null;
    return bytes.subarray(taken);
  }

  #keep(left: Buffer): void {
    if (left.length < HEADER_BYTES) {
      this.#rest = Buffer.from(left);
      return;
    }
    this.#large = Buffer.allocUnsafeSlow(frameBytes(left));
    this.#filled = left.copy(this.#large);
  }
}
