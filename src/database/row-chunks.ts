const ROW_END = 0x0a;

/**
 * Gathers pieces of row text into chunks of whole rows of at most `chunkBytes`; a larger single row goes alone. Relies
 * on the row text: a line feed inside a value is always escaped.
 */
export async function* cutAtRows(pieces: AsyncIterable<Buffer>, chunkBytes: number): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    gathered.push(piece);
    bytes += piece.length;
    if (bytes < chunkBytes) continue;
    const all = joined(gathered);
    let from = 0;
    for (let end = chunkEnd(all, from, chunkBytes); end > 0; end = chunkEnd(all, from, chunkBytes)) {
      yield all.subarray(from, end);
      from = end;
    }
    gathered = from === all.length ? [] : [all.subarray(from)];
    bytes = all.length - from;
  }
  if (bytes > 0) yield joined(gathered);
}

/** End of the chunk that begins at `from`; 0 when more bytes are needed to tell. */
function chunkEnd(all: Buffer, from: number, chunkBytes: number): number {
  if (all.length - from < chunkBytes) return 0;
  const end = all.lastIndexOf(ROW_END, from + chunkBytes - 1) + 1;
  return end > from ? end : all.indexOf(ROW_END, from + chunkBytes - 1) + 1;
}

const joined = (pieces: readonly Buffer[]): Buffer =>
  pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);

/** The row text without its first rows. */
export async function* withoutFirst(pieces: AsyncIterable<Buffer>, rows: number): AsyncGenerator<Buffer> {
  let left = rows;
  for await (const piece of pieces) {
    let from = 0;
    for (; left > 0 && from < piece.length; left--) {
      const end = piece.indexOf(ROW_END, from);
      if (end === -1) break;
      from = end + 1;
    }
    if (left === 0 && from < piece.length) yield piece.subarray(from);
  }
}
