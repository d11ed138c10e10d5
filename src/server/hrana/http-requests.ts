import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { Access, SqlDatabase } from '../sql.ts';
import { type AnswerBudget, AnswerShare } from './answer-budget.ts';
import { fitting } from './answer-size.ts';
import { ChunkedOutput } from './chunked-output.ts';
import { send, sendError } from './http-answer.ts';
import { jsonCodec } from './json-codec.ts';
import { HttpStream, type KeptStreams } from './kept-streams.ts';
import { BODIES_BYTES_MAX } from './limits.ts';
import type { Answer, Codec, CursorEntry } from './messages.ts';
import { resolveSteps } from './operations.ts';
import { closes, plan, runPipeline } from './pipeline.ts';
import { protobufCodec } from './protobuf-codec.ts';
import { asStatementError } from './protocol-error.ts';
import { BodyBudget, readBody } from './read-body.ts';

/** Whose request it is, and for which database. The shell has checked the token. */
export type HranaContext = {
  readonly database: SqlDatabase;
  readonly access: Access;
  /** Of the token: a baton is good only together with the token that it was made for. */
  readonly identity: string;
  /** What follows the database's name, without a query: `/v2/pipeline`. */
  readonly path: string;
};

type Route = { readonly endpoint: 'version' | 'pipeline' | 'cursor'; readonly codec: Codec };

const ROUTES: ReadonlyMap<string, Route> = new Map([
  ['/v2', { endpoint: 'version', codec: jsonCodec }],
  ['/v2/pipeline', { endpoint: 'pipeline', codec: jsonCodec }],
  ['/v3', { endpoint: 'version', codec: jsonCodec }],
  ['/v3/pipeline', { endpoint: 'pipeline', codec: jsonCodec }],
  ['/v3/cursor', { endpoint: 'cursor', codec: jsonCodec }],
  ['/v3-protobuf', { endpoint: 'version', codec: protobufCodec }],
  ['/v3-protobuf/pipeline', { endpoint: 'pipeline', codec: protobufCodec }],
  ['/v3-protobuf/cursor', { endpoint: 'cursor', codec: protobufCodec }],
]);

export type HttpRequestsOptions = {
  readonly clock: Clock;
  readonly streams: KeptStreams;
  readonly requestBytesMax: number;
  readonly idleMs: number;
  readonly answers: AnswerBudget;
  readonly onDefect: (error: unknown) => void;
};

/** Hrana over HTTP. */
export class HttpRequests {
  readonly #options: HttpRequestsOptions;
  readonly #budget = new BodyBudget(BODIES_BYTES_MAX);
  readonly #running = new Set<AbortController>();
  #isClosed = false;

  constructor(options: HttpRequestsOptions) {
    this.#options = options;
  }

  /** Answers every request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, context: HranaContext): Promise<void> {
    const running = new AbortController();
    this.#running.add(running);
    try {
      await this.#route(request, response, context, running);
    } catch (error) {
      await this.#fail(response, error);
    } finally {
      this.#running.delete(running);
    }
  }

  async #fail(response: ServerResponse, error: unknown): Promise<void> {
    if (!(error instanceof SpeilError)) this.#options.onDefect(error);
    if (response.destroyed || response.writableEnded) return;
    if (response.headersSent) response.destroy();
    else await sendError(response, error, this.#options.clock);
  }

  async #route(
    request: IncomingMessage,
    response: ServerResponse,
    context: HranaContext,
    running: AbortController,
  ): Promise<void> {
    if (this.#isClosed) throw STOPPING;
    const route = ROUTES.get(context.path);
    if (route === undefined) throw notFound(context.path);
    const method = route.endpoint === 'version' ? 'GET' : 'POST';
    if (request.method !== method) return refuseMethod(response, method);
    if (route.endpoint === 'version') return send(response, 200, 'text/plain', 'Hrana');
    const body = await readBody(request, this.#options.requestBytesMax, this.#budget);
    const call = { ...context, codec: route.codec, response, running };
    await (route.endpoint === 'pipeline' ? this.#pipeline(body, call) : this.#cursor(body, call));
  }

  async #pipeline(body: Buffer, call: Call): Promise<void> {
    const { codec, response, running } = call;
    const { baton, requests } = codec.readPipeline(body);
    const share = new AnswerShare(this.#options.answers);
    response.once('close', () => {
      if (!response.writableFinished) running.abort(CLIENT_GONE);
      share[Symbol.dispose]();
    });
    await this.#withStream(baton, call, async (stream, nextBaton) => {
      const steps = plan(requests, stream.texts);
      const fit = (answer: Answer) => (response.destroyed ? answer : share.fit(answer));
      const answers = await runPipeline(stream.sql, steps, running.signal, fit);
      if (response.destroyed) throw CLIENT_GONE;
      const isClosed = closes(steps);
      if (isClosed) this.#options.streams.forget(stream);
      const next = isClosed ? null : nextBaton();
      send(
        response,
        200,
        codec.contentType,
        fitting(() => codec.writePipeline(next, answers)),
      );
    });
  }

  /**
   * The baton comes before the entries: whoever has read enough of them closes the connection and goes on with it. What
   * is running then gets the time in which the client could come back.
   */
  async #cursor(body: Buffer, call: Call): Promise<void> {
    const { codec, response, running } = call;
    const { clock, idleMs } = this.#options;
    const { baton, steps } = codec.readCursorCall(body);
    const done = new AbortController();
    response.once('close', () => {
      if (!done.signal.aborted) void clock.sleep(idleMs, done.signal).then(() => running.abort(CLIENT_GONE), noop);
    });
    await this.#withStream(baton, call, async (stream, nextBaton) => {
      const entries = stream.sql.cursor(resolveSteps(steps, stream.texts), { signal: running.signal });
      response.writeHead(200, { 'content-type': codec.isBinary ? 'application/octet-stream' : 'text/plain' });
      await writeCursor(new ChunkedOutput(response, clock), call, nextBaton(), entries);
    }).finally(() => done.abort());
  }

  async #withStream(
    baton: string | null,
    call: Call,
    use: (stream: HttpStream, nextBaton: () => string) => Promise<void>,
  ): Promise<void> {
    const { streams } = this.#options;
    const stream =
      baton === null ? new HttpStream(call.database.openStream(call.access)) : streams.take(baton, holderOf(call));
    try {
      await use(stream, () => streams.batonOf(stream, holderOf(call)));
      streams.release(stream);
    } catch (error) {
      await streams.end(stream).catch(noop);
      throw error;
    }
  }

  /** Cancels what is running, and refuses what comes. */
  close(): void {
    this.#isClosed = true;
    for (const running of this.#running) running.abort(STOPPING);
  }
}

type Call = HranaContext & {
  readonly codec: Codec;
  readonly response: ServerResponse;
  /** Aborted, the statement is cancelled. */
  readonly running: AbortController;
};

const noop = () => {};

/** A stream that fails on the way says so in a last entry: the status has been sent. */
async function writeCursor(
  output: ChunkedOutput,
  { codec, response }: Call,
  baton: string,
  entries: AsyncIterable<CursorEntry>,
): Promise<void> {
  await output.push(codec.writeCursorHead(baton));
  try {
    for await (const entry of entries) {
      if (response.destroyed) return;
      const full = output.push(fitting(() => codec.writeCursorEntry(entry)));
      if (full !== null) await full;
    }
  } catch (error) {
    await output.push(codec.writeCursorEntry({ kind: 'error', error: asStatementError(error) }));
    output.end();
    throw error;
  }
  output.end();
}

const holderOf = ({ database, identity, access }: HranaContext): string =>
  JSON.stringify([database.name, identity, access]);

function refuseMethod(response: ServerResponse, method: string): void {
  response.setHeader('allow', method);
  send(response, 405, 'application/json', `{"message":"only ${method} is answered here","code":"NOT_FOUND"}`);
}

const notFound = (path: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is nothing at ${path.slice(0, 100)}`, {
    hint: 'Hrana is served at /v2/pipeline, /v3/pipeline, /v3/cursor, /v3-protobuf/pipeline and /v3-protobuf/cursor.',
  });

const CLIENT_GONE = new SpeilError('STREAM_CLOSED', 'the client has gone away');
const STOPPING = new SpeilError('DATABASE_STOPPED', 'the server is stopping', { recovery: 'retry' });
