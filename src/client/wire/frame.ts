import { SpeilError } from '../../core/error.ts';

/** Four bytes, big-endian: the length of the head, which is JSON in UTF-8. Then bytes that the head says how to read. */
const LENGTH_BYTES = 4;

export type Frame = { readonly head: unknown; readonly rest: Uint8Array };

export function encodeFrame(head: unknown, parts: readonly Uint8Array[] = []): Uint8Array {
  const json = Buffer.from(JSON.stringify(head, lsnAsText));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json, ...parts]);
}

/** `rest` is a view on `bytes`. Throws `CONTRACT_BROKEN`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < LENGTH_BYTES) throw contractBroken('the body is cut short');
  const end = LENGTH_BYTES + buffer.readUInt32BE();
  if (end > buffer.length) throw contractBroken('the head is longer than the body');
  return { head: parseHead(buffer.toString('utf8', LENGTH_BYTES, end)), rest: buffer.subarray(end) };
}

function parseHead(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw contractBroken('the head is not JSON');
  }
}

export const contractBroken = (what: string): SpeilError =>
  new SpeilError('CONTRACT_BROKEN', `the other side does not keep to the contract: ${what}`, {
    hint: 'Do both sides run versions of Speil that go together? `speil --version`',
  });

/** JSON has no integers of 64 bits. */
const lsnAsText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
