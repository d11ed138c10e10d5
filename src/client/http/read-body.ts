import type { IncomingMessage } from 'node:http';
import { tooLarge } from '../wire/compression.ts';

/**
 * Reads all of a message. Throws `CALL_TOO_LARGE` beyond `bytesMax`, and the stream's error when it is cut; what is not
 * read stays there.
 */
export async function readBody(
  message: IncomingMessage,
  bytesMax: number,
  onBytes: (count: number) => void = () => {},
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    onBytes(chunk.byteLength);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
