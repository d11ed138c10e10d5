import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import type { Access, SqlDatabase } from '../sql.ts';
import { send, sendError } from './http-answer.ts';
import { jsonCodec } from './json-codec.ts';
import { HttpStream, type KeptStreams } from './kept-streams.ts';
import { BODIES_BYTES_MAX } from './limits.ts';
import type { Codec } from './messages.ts';
import { closes, plan, runPipeline } from './pipeline.ts';
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
  ['/v3', { endpoint: 'version', codec: jsonCodec }],
  ['/v2/pipeline', { endpoint: 'pipeline', codec: jsonCodec }],
  ['/v3/pipeline', { endpoint: 'pipeline', codec: jsonCodec }],
]);

export const isHranaPath = (path: string): boolean => ROUTES.has(path);

export type HttpRequestsOptions = {
  readonly clock: Clock;
  readonly streams: KeptStreams;
  readonly requestBytesMax: number;
  readonly onDefect: (error: unknown) => void;
};

/** Hrana over HTTP. */
export class HttpRequests {
  readonly #options: HttpRequestsOptions;
  readonly #budget = new BodyBudget(BODIES_BYTES_MAX);
  readonly #running = new Set<AbortController>();

  constructor(options: HttpRequestsOptions) {
    this.#options = options;
  }

  /** Answers every request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, context: HranaContext): Promise<void> {
    const running = new AbortController();
    this.#running.add(running);
    response.once('close', () => {
      this.#running.delete(running);
      if (!response.writableFinished) running.abort(CLIENT_GONE);
    });
    try {
      await this.#answer(request, response, context, running.signal);
    } catch (error) {
      if (response.destroyed || response.headersSent) response.destroy();
      else sendError(response, error);
      if (!(error instanceof SpeilError) && !response.destroyed) this.#options.onDefect(error);
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    context: HranaContext,
    signal: AbortSignal,
  ): Promise<void> {
    const route = ROUTES.get(context.path);
    if (route === undefined) throw notFound(context.path);
    const method = route.endpoint === 'version' ? 'GET' : 'POST';
    if (request.method !== method) return refuseMethod(response, method);
    if (route.endpoint === 'version') return send(response, 200, 'text/plain', 'Hrana');
    const body = await readBody(request, this.#options.requestBytesMax, this.#budget);
    await this.#pipeline(body, response, { ...context, codec: route.codec, signal });
  }

  async #pipeline(body: Buffer, response: ServerResponse, call: Call): Promise<void> {
    const { streams } = this.#options;
    const { codec, signal } = call;
    const { baton, requests } = codec.readPipeline(body);
    const holder = holderOf(call);
    const stream = this.#open(baton, call, holder);
    try {
      const steps = plan(requests, stream.texts);
      const answers = await runPipeline(stream.sql, steps, signal);
      const isClosed = closes(steps);
      if (isClosed) streams.forget(stream);
      const next = isClosed ? null : streams.batonOf(stream, holder);
      send(response, 200, codec.contentType, codec.writePipeline(next, answers));
      streams.release(stream);
    } catch (error) {
      await streams.end(stream).catch(() => {});
      throw error;
    }
  }

  #open(baton: string | null, { database, access }: Call, holder: string): HttpStream {
    if (baton !== null) return this.#options.streams.take(baton, holder);
    return new HttpStream(database.openStream(access));
  }

  close(): void {
    for (const running of this.#running) running.abort(STOPPING);
  }
}

type Call = HranaContext & { readonly codec: Codec; readonly signal: AbortSignal };

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
