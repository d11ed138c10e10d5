import type { IncomingMessage } from 'node:http';
import { SpeilError } from '../core/error.ts';
import type { ServerClient } from './server-client.ts';
import { path } from './service-call.ts';

/** A value as Hrana writes it in JSON. */
export type HranaValue =
  | { readonly type: 'null' }
  | { readonly type: 'integer'; readonly value: string }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'blob'; readonly base64: string };

/** What comes of statements, in order. `step` counts the statements of one run. */
export type SqlEvent =
  | { readonly kind: 'begin'; readonly step: number; readonly columns: readonly string[] }
  | { readonly kind: 'row'; readonly row: readonly HranaValue[] }
  | { readonly kind: 'end'; readonly changes: number }
  | { readonly kind: 'error'; readonly code: string; readonly message: string };

type CursorLine = {
  readonly baton?: string | null;
  readonly type?: string;
  readonly step?: number;
  readonly cols?: readonly { readonly name: string | null }[];
  readonly row?: readonly HranaValue[];
  readonly affected_row_count?: number;
  readonly error?: { readonly message: string; readonly code?: string | null };
};

type PipelineAnswer = {
  readonly baton: string | null;
  readonly results: readonly {
    readonly type: 'ok' | 'error';
    readonly response?: { readonly is_autocommit?: boolean };
    readonly error?: { readonly message: string; readonly code?: string | null };
  }[];
};

/** Codes for a stream that the server does not know any more. */
const LOST: ReadonlySet<string> = new Set(['STREAM_EXPIRED', 'BATON_REFUSED']);

/** One stream of a database, over Hrana: transactions and temporary tables live from one run to the next. */
export class SqlSession implements AsyncDisposable {
  readonly #server: ServerClient;
  readonly #database: string;
  /** Names the stream; null when there is none. */
  #baton: string | null = null;
  #inTransaction = false;
  /** One request at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(server: ServerClient, database: string) {
    this.#server = server;
    this.#database = database;
  }

  /** As of the last request. */
  get inTransaction(): boolean {
    return this.#inTransaction;
  }

  /** One after another, up to the first that fails. A stream that the server has closed meanwhile is opened again. */
  async *run(statements: readonly string[], signal?: AbortSignal): AsyncGenerator<SqlEvent> {
    const turn = await this.#turn();
    try {
      yield* this.#cursor(statements, signal);
      await this.#look(signal);
    } catch (error) {
      this.#forget();
      throw error;
    } finally {
      turn.resolve();
    }
  }

  /** Tells the server that the stream is still wanted. Does nothing where there is none. */
  async keep(): Promise<void> {
    if (this.#baton === null) return;
    const turn = await this.#turn();
    try {
      await this.#pipeline([{ type: 'execute', stmt: { sql: 'SELECT 1', want_rows: false } }]);
    } finally {
      turn.resolve();
    }
  }

  /** Closes the stream; an open transaction is rolled back. */
  async [Symbol.asyncDispose](): Promise<void> {
    const turn = await this.#turn();
    try {
      if (this.#baton !== null) await this.#pipeline([{ type: 'close' }]);
    } catch {
      // It closes by itself soon.
    } finally {
      this.#forget();
      turn.resolve();
    }
  }

  async #turn(): Promise<PromiseWithResolvers<void>> {
    const turn = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = turn.promise;
    await before;
    return turn;
  }

  async *#cursor(statements: readonly string[], signal: AbortSignal | undefined): AsyncGenerator<SqlEvent> {
    const steps = statements.map((sql, step) => ({
      stmt: { sql, want_rows: true },
      condition: step === 0 ? null : { type: 'ok', step: step - 1 },
    }));
    const answer = await this.#open('/v3/cursor', { batch: { steps } }, signal);
    let isHead = true;
    for await (const line of linesOf(answer, this.#server, signal)) {
      if (isHead) this.#baton = line.baton ?? null;
      else yield* eventOf(line);
      isHead = false;
    }
  }

  /** Whether a transaction is open, which only the server knows. */
  async #look(signal?: AbortSignal): Promise<void> {
    if (this.#baton === null) return;
    const [result] = await this.#pipeline([{ type: 'get_autocommit' }], signal);
    this.#inTransaction = result?.response?.is_autocommit === false;
  }

  async #pipeline(requests: readonly object[], signal?: AbortSignal): Promise<PipelineAnswer['results']> {
    const at = path`/${this.#database}/v3/pipeline`;
    const body = { baton: this.#baton, requests };
    this.#baton = null;
    const { baton, results } = await this.#server.json<PipelineAnswer>('POST', at, body, signal);
    this.#baton = baton;
    return results;
  }

  async #open(endpoint: string, body: object, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    const at = `${path`/${this.#database}`}${endpoint}`;
    const baton = this.#baton;
    this.#baton = null;
    try {
      return await this.#server.open('POST', at, { baton, ...body }, signal);
    } catch (error) {
      if (baton === null || !(error instanceof SpeilError) || !LOST.has(error.code)) throw error;
      if (this.#inTransaction) throw error;
      return await this.#server.open('POST', at, { baton: null, ...body }, signal);
    }
  }

  #forget(): void {
    this.#baton = null;
    this.#inTransaction = false;
  }
}

function* eventOf({
  type,
  step = 0,
  cols = [],
  row = [],
  affected_row_count = 0,
  error,
}: CursorLine): Generator<SqlEvent> {
  if (type === 'step_begin') yield { kind: 'begin', step, columns: cols.map(({ name }) => name ?? '') };
  else if (type === 'row') yield { kind: 'row', row };
  else if (type === 'step_end') yield { kind: 'end', changes: affected_row_count };
  else if (error !== undefined) yield { kind: 'error', code: error.code ?? 'UNKNOWN', message: error.message };
}

/** One JSON object a line. */
async function* linesOf(
  answer: IncomingMessage,
  server: ServerClient,
  signal: AbortSignal | undefined,
): AsyncGenerator<CursorLine> {
  const decoder = new TextDecoder();
  let rest: string[] = [];
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const [first = '', ...others] = decoder.decode(chunk, { stream: true }).split('\n');
      rest.push(first);
      for (const begun of others) {
        const line = rest.join('');
        if (line !== '') yield JSON.parse(line);
        rest = [begun];
      }
    }
    const line = rest.join('');
    if (line !== '') yield JSON.parse(line);
  } catch (cause) {
    throw server.broken(cause, signal);
  }
}
