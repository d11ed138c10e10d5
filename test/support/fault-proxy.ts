import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** `up`: from whoever connects to the target. `down`: back. */
export type Direction = 'up' | 'down';

export type FaultKind =
  /** Both sides get a reset. */
  | 'reset'
  /** Both sides get an orderly end, in the middle. */
  | 'end'
  /** From here on nothing passes in either direction, and nobody is told. */
  | 'hold'
  /** The receiver gets an orderly end, the sender is not told and its bytes are lost. */
  | 'truncate'
  /** Nothing passes in this direction for a while, then everything. */
  | 'delay';

export type Fault = {
  readonly kind: FaultKind;
  readonly direction: Direction;
  /** Bytes that still pass in this direction, from the moment the fault is armed. */
  readonly afterBytes: number;
  /** Of a delay. */
  readonly delayMs?: number;
};

type Pair = { readonly up: Socket; readonly down: Socket; isHeld: boolean };

/** Stands between two sides on loopback, passes bytes on, and spoils one moment at a time when told to. */
export class FaultProxy implements AsyncDisposable {
  /** Bytes that have passed in each direction, in all connections. */
  readonly passed: Record<Direction, number> = { up: 0, down: 0 };
  /** Faults that have happened. */
  readonly happened: Fault[] = [];
  /** Where connections go; a new number is for the next ones. */
  targetPort: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #armed: { readonly fault: Fault; readonly at: number } | null = null;
  #recording: Buffer[] | null = null;

  private constructor(targetPort: number) {
    this.targetPort = targetPort;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#connect(socket));
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    const { promise, resolve } = Promise.withResolvers<void>();
    proxy.#server.listen(0, '127.0.0.1', resolve);
    await promise;
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** The fault happens once. */
  arm(fault: Fault): void {
    this.#armed = { fault, at: this.passed[fault.direction] + fault.afterBytes };
  }

  disarm(): void {
    this.#armed = null;
  }

  /** Resets all connections that there are. */
  resetAll(): void {
    for (const pair of [...this.#pairs]) this.#reset(pair);
  }

  /** All connections that there are go silent. */
  holdAll(): void {
    for (const pair of this.#pairs) pair.isHeld = true;
  }

  /** Keeps what passes upwards from here on. */
  record(): void {
    this.#recording = [];
  }

  recorded(): Buffer {
    const bytes = Buffer.concat(this.#recording ?? []);
    this.#recording = null;
    return bytes;
  }

  /** Sends the same bytes again, from another socket, and answers what comes back until `isWhole` or the end. */
  async repeat(bytes: Uint8Array, isWhole: (answer: string) => boolean): Promise<string> {
    const socket = connect({ port: this.targetPort, host: '127.0.0.1' });
    socket.write(bytes);
    let answer = '';
    try {
      for await (const chunk of socket) {
        answer += (chunk as Buffer).toString('latin1');
        if (isWhole(answer)) break;
      }
    } finally {
      socket.destroy();
    }
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resetAll();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }

  #connect(down: Socket): void {
    const up = connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const pair: Pair = { up, down, isHeld: false };
    this.#pairs.add(pair);
    for (const socket of [up, down]) {
      socket.on('error', () => this.#reset(pair));
      socket.on('close', () => this.#closed(pair));
    }
    down.on('end', () => pair.isHeld || up.end());
    up.on('end', () => pair.isHeld || down.end());
    void this.#pass(pair, 'up', down, up);
    void this.#pass(pair, 'down', up, down);
  }

  #closed(pair: Pair): void {
    if (pair.up.destroyed && pair.down.destroyed) this.#pairs.delete(pair);
  }

  #reset(pair: Pair): void {
    reset(pair.up);
    reset(pair.down);
    this.#pairs.delete(pair);
  }

  async #pass(pair: Pair, direction: Direction, from: Socket, to: Socket): Promise<void> {
    let isLost = false;
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        if (isLost || pair.isHeld) continue;
        const { fault, before, after } = this.#split(direction, chunk);
        await this.#forward(direction, to, before);
        if (fault === null) continue;
        await this.#happen(fault, pair, to);
        isLost = fault.kind !== 'delay';
        if (!isLost) await this.#forward(direction, to, after);
      }
    } catch {
      // The socket is gone; the other one is told by its own events.
    }
  }

  #split(direction: Direction, chunk: Buffer): { fault: Fault | null; before: Buffer; after: Buffer } {
    const room = this.#armed === null ? Number.POSITIVE_INFINITY : this.#armed.at - this.passed[direction];
    if (this.#armed?.fault.direction !== direction || chunk.length < room || room === Number.POSITIVE_INFINITY) {
      return { fault: null, before: chunk, after: chunk.subarray(0, 0) };
    }
    const { fault } = this.#armed;
    this.#armed = null;
    return { fault, before: chunk.subarray(0, room), after: chunk.subarray(room) };
  }

  async #forward(direction: Direction, to: Socket, bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    this.passed[direction] += bytes.length;
    if (direction === 'up') this.#recording?.push(bytes);
    if (!to.write(bytes)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      to.once('drain', resolve).once('close', resolve);
      await promise;
    }
  }

  async #happen(fault: Fault, pair: Pair, to: Socket): Promise<void> {
    this.happened.push(fault);
    if (fault.kind === 'reset') this.#reset(pair);
    if (fault.kind === 'end') for (const socket of [pair.up, pair.down]) socket.end(() => socket.destroy());
    if (fault.kind === 'hold') pair.isHeld = true;
    if (fault.kind === 'truncate') to.end();
    if (fault.kind === 'delay') await sleep(fault.delayMs ?? 100);
  }
}

/** A socket that has said its end already cannot be reset any more: libuv would never close it. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
