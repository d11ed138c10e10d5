import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DESCRIPTOR, type ExecutorArguments } from '../executor/arguments.ts';
import { decodeFrame, encodeFrame, FrameCutter } from '../executor/frames.ts';
import type { AnswerFrame, RequestFrame } from '../executor/protocol.ts';

export type ExecutorEvents = {
  onAnswers(frame: AnswerFrame): void;
  /** The process has ended and all that it said was heard. `diagnosis`: its last words, for people. */
  onEnd(diagnosis: string): void;
};

const ENTRY = fileURLToPath(new URL(`../../executor${extname(import.meta.url)}`, import.meta.url));

/** Of what a failing process writes, the end is kept. */
const DIAGNOSIS_CHARACTERS_MAX = 2_000;

/** An executor's process and the frames that go to it and come from it. */
export class ExecutorProcess {
  readonly #child: ChildProcess;
  /** Missing when the system could not start a process. */
  readonly #socket: Socket | undefined;
  readonly #cutter = new FrameCutter();
  readonly #events: ExecutorEvents;
  readonly ended: Promise<void>;
  #diagnosis = '';

  constructor(options: ExecutorArguments, events: ExecutorEvents) {
    this.#events = events;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ENTRY, JSON.stringify(options)], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#socket = child.stdio?.[DESCRIPTOR] as Socket | undefined;
    this.#socket?.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#socket?.on('error', () => {});
    child.stdin?.on('error', () => {});
    child.stderr?.on('data', (bytes: Buffer) => this.#note(String(bytes)));
    child.on('error', (error) => this.#note(error.message));
    const end = child.pid === undefined ? 'error' : 'close';
    this.ended = new Promise((resolve) => child.on(end, () => resolve(events.onEnd(this.#diagnosis.trim()))));
  }

  #note(words: string): void {
    this.#diagnosis = (this.#diagnosis + words).slice(-DIAGNOSIS_CHARACTERS_MAX);
  }

  #receive(bytes: Buffer): void {
    for (const frame of this.#cutter.push(bytes)) this.#events.onAnswers(decodeFrame(frame) as AnswerFrame);
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  send(requests: RequestFrame): void {
    const [first, ...rest] = encodeFrame(requests);
    if (rest.length === 1) this.#socket?.write(Buffer.concat([first as Uint8Array, ...rest]));
    else this.#sendPieces([first as Uint8Array, ...rest]);
  }

  #sendPieces(pieces: readonly Uint8Array[]): void {
    this.#socket?.cork();
    for (const piece of pieces) this.#socket?.write(piece);
    this.#socket?.uncork();
  }

  /** Lets it finish what it was sent, and end. */
  end(): void {
    this.#socket?.end();
  }

  /** Ends it at once. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
