import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type Batch, HranaFailure, type Request, type Response } from './hrana-json.ts';
import { plainEntry, plainResponse, protoBatch, protoRequest } from './hrana-proto-json.ts';
import { decode, encode, type ProtoJson } from './hrana-schema.ts';

export type SocketRequest =
  | { readonly type: 'open_stream' | 'close_stream'; readonly stream_id: number }
  | { readonly type: 'open_cursor'; readonly stream_id: number; readonly cursor_id: number; readonly batch: Batch }
  | { readonly type: 'fetch_cursor'; readonly cursor_id: number; readonly max_count: number }
  | { readonly type: 'close_cursor'; readonly cursor_id: number }
  | (Request & { readonly stream_id?: number });

type Waiting = PromiseWithResolvers<Response> & { readonly steps: number };

/** Opens a WebSocket and says nothing yet. */
export async function openSocket(url: string, subprotocol: string | string[]): Promise<Socket> {
  const socket = new Socket(new WebSocket(url, subprotocol));
  await once(socket.raw, 'open');
  return socket;
}

/** The client's end of a connection: it asks, and matches what comes back. */
export class Socket implements AsyncDisposable {
  readonly raw: WebSocket;
  /** Resolves with the code and reason of the close. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greetings: PromiseWithResolvers<void>[] = [];
  #nextId = -2;

  constructor(raw: WebSocket) {
    this.raw = raw;
    this.closed = new Promise((done) => {
      raw.on('close', (code, reason) => {
        const failure = new HranaFailure({ message: `closed: ${code} ${reason}`, code: `CLOSED_${code}` });
        for (const each of [...this.#waiting.values(), ...this.#greetings]) each.reject(failure);
        done({ code, reason: reason.toString() });
      });
    });
    raw.on('error', () => {});
    raw.on('message', (data: Buffer) => this.#receive(data));
  }

  get isBinary(): boolean {
    return this.raw.protocol === 'hrana3-protobuf';
  }

  hello(jwt: string | null): Promise<void> {
    const greeting = Promise.withResolvers<void>();
    this.#greetings.push(greeting);
    this.send({ type: 'hello', jwt }, () => encode('ClientMessage', { hello: jwt === null ? {} : { jwt } }));
    return greeting.promise;
  }

  ask(request: SocketRequest): Promise<Response> {
    const id = this.#nextId++;
    const waiting = {
      ...Promise.withResolvers<Response>(),
      steps: 'batch' in request ? request.batch.steps.length : 0,
    };
    this.#waiting.set(id, waiting);
    this.send({ type: 'request', request_id: id, request }, () =>
      encode('ClientMessage', { request: { request_id: id, ...protoSocketRequest(request) } }),
    );
    return waiting.promise;
  }

  send(json: object, proto: () => Uint8Array): void {
    if (this.isBinary) this.raw.send(proto());
    else this.raw.send(JSON.stringify(json));
  }

  #receive(data: Buffer): void {
    const message = this.isBinary ? decode('ServerMessage', data) : JSON.parse(data.toString());
    const [type, content] = this.isBinary ? (Object.entries(message)[0] ?? []) : [message.type, message];
    if (type === 'hello_ok') this.#greetings.shift()?.resolve();
    else if (type === 'hello_error') this.#greetings.shift()?.reject(new HranaFailure(content.error));
    else this.#answer(type, content);
  }

  #answer(type: string, content: { request_id: number; response: Response; error: HranaFailure }): void {
    const { request_id: id, ...rest } = content;
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === 'response_error') waiting?.reject(new HranaFailure(content.error));
    else if (this.isBinary) waiting?.resolve(plainSocketResponse(rest as ProtoJson, waiting.steps));
    else waiting?.resolve(content.response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.raw.close();
    await this.closed;
  }
}

function protoSocketRequest(request: SocketRequest): ProtoJson {
  if (request.type === 'open_cursor') {
    const { type, batch, ...ids } = request;
    return { [type]: { ...ids, batch: protoBatch(batch) } };
  }
  if ('stream_id' in request && !request.type.endsWith('_stream')) {
    const { stream_id, ...content } = request as Request & { stream_id: number };
    return protoRequest(content, { stream_id });
  }
  const { type, ...content } = request;
  return { [type]: content };
}

function plainSocketResponse(proto: ProtoJson, steps: number): Response {
  const fetched = proto['fetch_cursor'] as { entries: ProtoJson[]; done: boolean } | undefined;
  if (fetched === undefined) return plainResponse(proto, steps);
  return { type: 'fetch_cursor', entries: fetched.entries.map(plainEntry), done: fetched.done } as unknown as Response;
}
