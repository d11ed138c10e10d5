import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { POSTGRES_VERSIONS, type PostgresVersion } from '../../test/support/postgres-server.ts';
import { SpeilProcess, speil } from '../../test/support/speil-process.ts';

/** PostgreSQL's own programs, where the machine has them. */
export type Program = 'psql' | 'pg_dump' | 'pgbench';

/** The major version of a program; null where it is not there. */
export function versionOf(program: Program): number | null {
  const { stdout, status } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return status === 0 ? Number(/\d+/.exec(stdout)?.[0]) : null;
}

/** The version whose servers the machine's programs understand, so that they can be compared with; else the newest. */
export function comparableVersion(): PostgresVersion {
  const dump = versionOf('pg_dump');
  return POSTGRES_VERSIONS.find((version) => version === dump) ?? 18;
}

/** Runs a program to its end; answers what it wrote to stdout. */
export async function run(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (piece: Buffer) => (output.stdout += piece));
  child.stderr.on('data', (piece: Buffer) => (output.stderr += piece));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${output.stderr}`);
  return output.stdout;
}

/** `from | to`, joined by the system itself, so that no byte goes through this process. */
export async function pipe(from: readonly string[], to: readonly string[]): Promise<void> {
  await run('/bin/sh', ['-c', `${commandText(from)} | ${commandText(to)}`]);
}

const commandText = (command: readonly string[]): string =>
  command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

/** The command line as a user runs it, to its end; it must succeed. */
export async function runSpeil(args: readonly string[]): Promise<void> {
  const { code, stderr } = await speil(args, { withinMs: RUN_LIMIT_MS });
  if (code !== 0) throw new Error(`speil ${args.join(' ')} ended with ${code}: ${stderr}`);
}

const RUN_LIMIT_MS = 1_800_000;
const MEMORY_POLL_MS = 10;

/** The same, and the most memory that its process had resident, in bytes (VmHWM, looked at every 10 ms). */
export async function peakMemoryOfSpeil(args: readonly string[]): Promise<number> {
  await using running = new SpeilProcess(args);
  let peakBytes = 0;
  const poll = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakMemory(running.pid));
  }, MEMORY_POLL_MS);
  const { code } = await running.exit;
  clearInterval(poll);
  if (code !== 0) throw new Error(`speil ${args.join(' ')} ended with ${code}: ${running.stderr}`);
  return peakBytes;
}

/** Zero once the process is gone. */
function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

const TICKS_PER_SECOND = 100;

/** Processor time that a process has used so far, in user and system mode. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
