/**
 * Memory that page images lie in, seen as bytes and as words of 32 bits. An image is named by the buffer and the byte at
 * which it begins, a multiple of 4, so that none needs an object of its own.
 */
export type PageBuffer = { readonly bytes: Buffer; readonly words: Int32Array };

export function allocatePageBuffer(length: number): PageBuffer {
  const memory = new ArrayBuffer(length);
  return { bytes: Buffer.from(memory), words: new Int32Array(memory) };
}

export function copyPage(from: PageBuffer, fromAt: number, to: PageBuffer, toAt: number, pageSize: number): void {
  to.words.set(from.words.subarray(fromAt >> 2, (fromAt + pageSize) >> 2), toAt >> 2);
}
