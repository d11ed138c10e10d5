import { type Batch, type Entry, HranaFailure, type Request, type Response } from './hrana-json.ts';
import { plainEntry, plainResponse, protoBatch, protoRequest } from './hrana-proto-json.ts';
import { decode, encode } from './hrana-schema.ts';
import { openSocket, type Socket } from './hrana-socket.ts';

/** A stream as a test drives it, whatever carries it. */
export interface TestStream extends AsyncDisposable {
  /** Throws a {@link HranaFailure}. */
  ask(request: Request): Promise<Response>;
  cursor(batch: Batch): Promise<readonly Entry[]>;
}

export type Transport = {
  readonly name: string;
  /** False for version 2. */
  readonly hasCursors: boolean;
  readonly open: (url: (scheme: string) => string, token?: string) => Promise<TestStream>;
};

export const TRANSPORTS: readonly Transport[] = [
  { name: 'HTTP, version 2', hasCursors: false, open: async (url, token) => new HttpJson(url('http'), 'v2', token) },
  { name: 'HTTP, JSON', hasCursors: true, open: async (url, token) => new HttpJson(url('http'), 'v3', token) },
  { name: 'HTTP, protobuf', hasCursors: true, open: async (url, token) => new HttpProtobuf(url('http'), token) },
  { name: 'WebSocket, version 2', hasCursors: false, open: (url, token) => openWs(url('ws'), 'hrana2', token) },
  { name: 'WebSocket, JSON', hasCursors: true, open: (url, token) => openWs(url('ws'), 'hrana3', token) },
  { name: 'WebSocket, protobuf', hasCursors: true, open: (url, token) => openWs(url('ws'), 'hrana3-protobuf', token) },
];

export const post = (url: string, body: string | Uint8Array, token?: string): Promise<globalThis.Response> =>
  fetch(url, {
    method: 'POST',
    body: body as string,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });

export async function failureOf(response: globalThis.Response): Promise<HranaFailure> {
  const body = await response.text();
  try {
    return new HranaFailure(JSON.parse(body), response.status);
  } catch {
    return new HranaFailure({ message: body, code: `HTTP_${response.status}` }, response.status);
  }
}

type PipelineResponse = {
  readonly baton: string | null;
  readonly results: readonly ({ type: 'ok'; response: Response } | { type: 'error'; error: HranaFailure })[];
};

class HttpJson implements TestStream {
  readonly #base: string;
  readonly #token: string | undefined;
  #baton: string | null = null;

  constructor(url: string, version: string, token: string | undefined) {
    this.#base = `${url}${version}`;
    this.#token = token;
  }

  async ask(request: Request): Promise<Response> {
    const body = JSON.stringify({ baton: this.#baton, requests: [request] });
    const response = await post(`${this.#base}/pipeline`, body, this.#token);
    if (!response.ok) throw await failureOf(response);
    const { baton, results } = (await response.json()) as PipelineResponse;
    this.#baton = baton;
    const [result] = results;
    if (result?.type === 'ok') return result.response;
    throw new HranaFailure(result?.error ?? { message: 'no answer', code: 'NONE' });
  }

  async cursor(batch: Batch): Promise<readonly Entry[]> {
    const response = await post(`${this.#base}/cursor`, JSON.stringify({ baton: this.#baton, batch }), this.#token);
    if (!response.ok) throw await failureOf(response);
    const [head, ...entries] = (await response.text()).trimEnd().split('\n');
    this.#baton = JSON.parse(head ?? '').baton;
    return entries.map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#baton !== null) await this.ask({ type: 'close' });
  }
}

class HttpProtobuf implements TestStream {
  readonly #base: string;
  readonly #token: string | undefined;
  #baton: string | null = null;

  constructor(url: string, token: string | undefined) {
    this.#base = `${url}v3-protobuf`;
    this.#token = token;
  }

  #batonField() {
    return this.#baton === null ? {} : { baton: this.#baton };
  }

  async ask(request: Request): Promise<Response> {
    const body = encode('PipelineRequest', { ...this.#batonField(), requests: [protoRequest(request)] });
    const { baton, results } = decode('PipelineResponse', await this.#post('pipeline', body));
    this.#baton = (baton as string | undefined) ?? null;
    const [{ ok, error }] = results as [{ ok?: Record<string, unknown>; error?: HranaFailure }];
    if (ok === undefined) throw new HranaFailure(error ?? { message: 'no answer', code: 'NONE' });
    return plainResponse(ok, 'batch' in request ? request.batch.steps.length : 0);
  }

  async cursor(batch: Batch): Promise<readonly Entry[]> {
    const body = encode('CursorRequest', { ...this.#batonField(), batch: protoBatch(batch) });
    const [head, ...entries] = delimited(await this.#post('cursor', body));
    this.#baton = decode('CursorResponse', head ?? new Uint8Array())['baton'] as string;
    return entries.map((entry) => plainEntry(decode('Entry', entry)));
  }

  async #post(endpoint: string, body: Uint8Array): Promise<Uint8Array> {
    const response = await post(`${this.#base}/${endpoint}`, body, this.#token);
    if (!response.ok) throw await failureOf(response);
    return new Uint8Array(await response.arrayBuffer());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#baton !== null) await this.ask({ type: 'close' });
  }
}

/** Messages that each follow their length. */
function delimited(bytes: Uint8Array): readonly Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    messages.push(bytes.subarray(at, at + length));
    at += length;
  }
  return messages;
}

const STREAM = 7;
const CURSOR = -3;
/** Few, so that a cursor takes many fetches. */
const FETCH_COUNT = 3;

async function openWs(url: string, subprotocol: string, token: string | undefined): Promise<TestStream> {
  const socket = await openSocket(url, subprotocol);
  await socket.hello(token ?? null);
  await socket.ask({ type: 'open_stream', stream_id: STREAM });
  return new WsStream(socket);
}

class WsStream implements TestStream {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  ask(request: Request): Promise<Response> {
    if (request.type === 'close') return this.#socket.ask({ type: 'close_stream', stream_id: STREAM });
    const isOfConnection = request.type === 'store_sql' || request.type === 'close_sql';
    return this.#socket.ask(isOfConnection ? request : { ...request, stream_id: STREAM });
  }

  async cursor(batch: Batch): Promise<readonly Entry[]> {
    await this.#socket.ask({ type: 'open_cursor', stream_id: STREAM, cursor_id: CURSOR, batch });
    const entries: Entry[] = [];
    for (let done = false; !done; ) {
      const answer = await this.#socket.ask({ type: 'fetch_cursor', cursor_id: CURSOR, max_count: FETCH_COUNT });
      const fetched = answer as unknown as { entries: readonly Entry[]; done: boolean };
      entries.push(...fetched.entries);
      done = fetched.done;
    }
    await this.#socket.ask({ type: 'close_cursor', cursor_id: CURSOR });
    return entries;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
  }
}
