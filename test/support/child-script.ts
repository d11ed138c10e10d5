import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A TypeScript file as a process of its own, with one argument of JSON. Its first line on stdout says that it is ready. */
export class ChildScript implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ready: Promise<string>;
  readonly exit: Promise<string>;
  #output = '';
  readonly #endWithUs = (): void => void this.#child.kill('SIGKILL');

  constructor(script: URL, argument: unknown) {
    this.#child = spawn(process.execPath, [script.pathname, JSON.stringify(argument)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    process.once('exit', this.#endWithUs);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#ready = promise;
    promise.catch(() => undefined);
    this.#child.stdout?.on('data', (data: Buffer) => {
      this.#output += data;
      const [line, rest] = this.#output.split('\n', 2);
      if (rest !== undefined && line !== undefined) resolve(line);
    });
    this.exit = once(this.#child, 'close').then(([code, signal]) => {
      process.removeListener('exit', this.#endWithUs);
      reject(new Error(`the process ended before it was ready: ${code ?? signal}`));
      return String(code ?? signal);
    });
  }

  /** The first line. Rejects when the process ends without one. */
  ready(): Promise<string> {
    return this.#ready;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.exit;
  }
}
