import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binaries, runner } from './postgres-binaries.ts';

/** How PostgreSQL is asked to stop: wait for clients, disconnect them, or as after a power cut. */
export type StopMode = 'smart' | 'fast' | 'immediate';

const SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/**
 * The shell becomes the postmaster. Beside it stays a watchdog, an orphan that reads a pipe from the test process: a
 * word means that all is well, the bare end of the pipe that the test process was killed.
 */
const LAUNCH = `
( (
  read -r word <&3 && exit 0
  kill -QUIT $$ 2>/dev/null
  n=0
  while [ $n -lt 100 ] && [ -e "$2/postmaster.pid" ] && kill -0 $$ 2>/dev/null; do
    sleep 0.1; n=$((n + 1))
    [ $n -gt 50 ] && kill -KILL $$ 2>/dev/null
  done
  rm -rf "$2"
) & ) >/dev/null 2>&1
exec 3<&-
exec "$1" -D "$2" </dev/null
`;

/** A running postmaster. It ends with this process at the latest, however this process ends. */
export class PostgresProcess {
  readonly #child: ChildProcess;
  readonly #lifeline: Socket;
  readonly #dataDirectory: string;

  private constructor(child: ChildProcess, lifeline: Socket, dataDirectory: string) {
    this.#child = child;
    this.#lifeline = lifeline;
    this.#dataDirectory = dataDirectory;
  }

  /** Resolves once connections are accepted; null when the server ended before that (its log says why). */
  static async start(binaries: Binaries, dataDirectory: string, log: string): Promise<PostgresProcess | null> {
    const output = openSync(log, 'a');
    const args = ['-c', LAUNCH, 'sh', join(binaries.directory, 'bin', 'postgres'), dataDirectory];
    const stdio = ['ignore', output, output, 'pipe'] as const;
    const child = spawn('/bin/sh', args, { ...runner, cwd: '/', detached: true, stdio: [...stdio] });
    closeSync(output);
    await once(child, 'spawn');
    child.unref();
    const server = new PostgresProcess(child, lifelineOf(child), dataDirectory);
    return (await server.#becomesReady()) ? server : null;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the server has no process');
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(mode: StopMode): Promise<void> {
    this.#child.kill(SIGNALS[mode]);
    await this.#end();
  }

  /** SIGKILL for the postmaster and every process of the server, as when the machine dies. */
  async kill(): Promise<void> {
    const segment = sharedMemoryOf(this.#dataDirectory);
    this.#child.kill('SIGSTOP');
    const family = [this.pid, ...childrenOf(this.pid)];
    for (const pid of family) signal(pid, 'SIGKILL');
    await this.#end();
    while (family.some(isAlive)) await sleep(2);
    if (segment !== null) spawnSync('ipcrm', ['-m', segment], { stdio: 'ignore' });
  }

  async #end(): Promise<void> {
    if (!this.ended) {
      this.#child.ref();
      await once(this.#child, 'exit');
    }
    this.#lifeline.end('ended\n');
  }

  async #becomesReady(): Promise<boolean> {
    const deadline = Date.now() + 60_000;
    while (!this.ended && Date.now() < deadline) {
      if (statusOf(this.#dataDirectory, this.pid) === 'ready') return true;
      await sleep(5);
    }
    if (!this.ended) await this.kill();
    else await this.#end();
    return false;
  }
}

/** The test's end of the pipe that the watchdog reads. Not stdin, which Node closes as soon as the child has ended. */
function lifelineOf(child: ChildProcess): Socket {
  const lifeline = child.stdio[3];
  if (!(lifeline instanceof Socket)) throw new Error('the server has no watchdog');
  lifeline.on('error', () => undefined);
  lifeline.unref();
  return lifeline;
}

/** Line 8 of postmaster.pid, once it is this postmaster's. */
function statusOf(dataDirectory: string, pid: number): string | null {
  const lines = readLines(join(dataDirectory, 'postmaster.pid'));
  return lines[0] === String(pid) ? (lines[7]?.trim() ?? null) : null;
}

/** The System V segment (line 7: key and id) that a killed server leaves behind. */
const sharedMemoryOf = (dataDirectory: string): string | null =>
  readLines(join(dataDirectory, 'postmaster.pid'))[6]?.trim().split(/\s+/)[1] ?? null;

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

const childrenOf = (parent: number): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent);

function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== null && stat.state !== 'Z' && stat.state !== 'X';
}

function statOf(pid: number): { readonly state: string; readonly parent: number } | null {
  const [stat = ''] = readLines(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' ? null : { state: fields[0] ?? '', parent: Number(fields[1]) };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    return;
  }
}
