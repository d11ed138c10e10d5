import type { CursorEntry } from '../sql.ts';
import { entryBytes } from './answer-size.ts';
import { FETCH_BYTES_MAX } from './limits.ts';
import { asStatementError } from './protocol-error.ts';

/** A cursor of a WebSocket connection. One call at a time; the first one begins it. */
export class OpenCursor {
  readonly id: number;
  readonly #begin: () => AsyncIterable<CursorEntry>;
  #entries: AsyncIterator<CursorEntry> | null = null;

  constructor(id: number, begin: () => AsyncIterable<CursorEntry>) {
    this.id = id;
    this.#begin = begin;
  }

  /** The next entries: so many at most, and not many more bytes than a message should have. */
  async fetch(countMax: number): Promise<{ readonly entries: readonly CursorEntry[]; readonly isDone: boolean }> {
    const entries: CursorEntry[] = [];
    let bytes = 0;
    while (entries.length < countMax && bytes < FETCH_BYTES_MAX) {
      const next = await this.#next();
      if (next === null) return { entries, isDone: true };
      entries.push(next);
      bytes += entryBytes(next);
      if (next.kind === 'error') return { entries, isDone: true };
    }
    return { entries, isDone: false };
  }

  async #next(): Promise<CursorEntry | null> {
    try {
      this.#entries ??= this.#begin()[Symbol.asyncIterator]();
      const { value, done } = await this.#entries.next();
      return done ? null : value;
    } catch (error) {
      return { kind: 'error', error: asStatementError(error) };
    }
  }

  async close(): Promise<void> {
    await this.#entries?.return?.();
  }
}
