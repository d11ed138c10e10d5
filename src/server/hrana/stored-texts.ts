import { SpeilError } from '../../core/error.ts';
import { STORED_CHARS_MAX, STORED_TEXTS_MAX } from './limits.ts';
import type { Answer, SqlText, TextRequest } from './messages.ts';
import { asStatementError, broken } from './protocol-error.ts';

/** The SQL texts that a client has stored under ids of its own: of a stream (HTTP), or of a connection (WebSocket). */
export class StoredTexts {
  readonly #texts = new Map<number, string>();
  #chars = 0;

  /** The text itself. Throws `PROTOCOL_BROKEN` for an id under which there is none. */
  resolve(text: SqlText): string {
    if (typeof text === 'string') return text;
    const stored = this.#texts.get(text);
    if (stored === undefined) throw broken(`no SQL text is stored under ${text}`);
    return stored;
  }

  /** Throws `PROTOCOL_BROKEN` for an id that is in use: the client would be served another text than it thinks. */
  carryOut(request: TextRequest): Answer {
    return request.kind === 'close_sql' ? this.#close(request.sqlId) : this.#store(request.sqlId, request.sql);
  }

  #store(id: number, sql: string): Answer {
    if (this.#texts.has(id)) throw broken(`an SQL text is stored under ${id} already`);
    if (this.#texts.size >= STORED_TEXTS_MAX || this.#chars + sql.length > STORED_CHARS_MAX)
      return { kind: 'error', error: asStatementError(tooMany(this.#texts.size, this.#chars)) };
    this.#texts.set(id, sql);
    this.#chars += sql.length;
    return { kind: 'store_sql' };
  }

  #close(id: number): Answer {
    this.#chars -= this.#texts.get(id)?.length ?? 0;
    this.#texts.delete(id);
    return { kind: 'close_sql' };
  }
}

const tooMany = (texts: number, chars: number): SpeilError =>
  new SpeilError('TOO_MANY_TEXTS', `${texts} SQL texts with ${chars} characters are stored, no more fit`, {
    hint: 'Close some, or send the text with the statement.',
  });
