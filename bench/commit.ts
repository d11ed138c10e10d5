import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Lsn } from '../src/core/lsn.ts';
import { inspectJournal } from '../src/journal/inspect-journal.ts';
import { systemDisk } from '../src/runtime/system-disk.ts';
import type { LocalDatabase } from '../src/server/databases/local-database.ts';
import { type SpeilServer, startServer } from '../src/server.ts';
import { CREATE, INSERT, type LoadResult, NOTE, randomCustomer, resultOf, runLoad } from './support/commit-load.ts';
import { describeMachine } from './support/machine.ts';
import { cpuSecondsOf } from './support/programs.ts';
import { printResult, progress, readNumbers } from './support/runs.ts';
import { median, rounded } from './support/statistics.ts';

const { rows, seconds, rounds } = readNumbers({ rows: 100_000, seconds: 3, rounds: 5 });

const folder = mkdtempSync(join(tmpdir(), 'speil-bench-commit-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** The same rows in a file, to begin with. */
function createFile(name: string): string {
  const path = join(folder, name);
  using database = new DatabaseSync(path);
  database.exec(`${CREATE}; BEGIN`);
  const insert = database.prepare(INSERT);
  for (let n = 0; n < rows; n++) insert.run(NOTE, randomCustomer());
  database.exec('COMMIT');
  return path;
}

/** SQLite as an application has it that wants no commit lost: WAL, `synchronous=FULL`, one writer. */
function plainSqlite(path: string): () => Promise<LoadResult> {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  const insert = database.prepare(INSERT);
  return async () => {
    const times: number[] = [];
    const startedMs = performance.now();
    for (let at = startedMs; at < startedMs + seconds * 1000; ) {
      insert.run(NOTE, randomCustomer());
      const now = performance.now();
      times.push(now - at);
      at = now;
    }
    return resultOf(times, performance.now() - startedMs);
  };
}

type Measured = LoadResult & { readonly cpuUs?: number; readonly journalBytes?: number };
type Contestant = { readonly name: string; readonly run: () => Promise<Measured> };

const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

/** Of this process and the processes that carry out SQL for it. */
const cpuSeconds = (except: number | undefined): number =>
  [process.pid, ...childrenOf(process.pid).filter((pid) => pid !== except)].reduce(
    (sum, pid) => sum + cpuSecondsOf(pid),
    0,
  );

/** Bytes that the blocks of the journal take a commit, from commit `from` on. The server has ended. */
async function journalBytesPerCommit(from: bigint): Promise<number> {
  let [bytes, last] = [0, from];
  const journal = { disk: systemDisk, folder: join(folder, 'data', 'shop', 'journal'), from: Lsn.of(from + 1n) };
  for await (const facts of inspectJournal(journal)) {
    if (facts.kind !== 'block' || facts.block.first <= from) continue;
    bytes += facts.bytes;
    last = facts.block.last;
  }
  return bytes / Number(last - from);
}

/** Callers in the server's own process. */
function inProcess(database: LocalDatabase, workers: number): Contestant {
  return {
    name: `in process, ${workers} writers`,
    run: async () => {
      const before = cpuSeconds(undefined);
      const result = await runLoad({ kind: 'write', workers, seconds, rows }, (sql, args) =>
        database.execute(sql, args),
      );
      const commits = result.perSecond * seconds;
      return { ...result, cpuUs: rounded(((cpuSeconds(undefined) - before) / commits) * 1e6) };
    },
  };
}

/** Callers in a process of their own, with the official client over HTTP. */
function overHrana(child: ChildProcess, server: SpeilServer, kind: 'write' | 'read', workers: number): Contestant {
  return {
    name: `over Hrana, ${workers} ${kind === 'write' ? 'writers' : 'readers'}`,
    run: async () => {
      child.send({ url: `${server.url}/shop/`, load: { kind, workers, seconds, rows } });
      const [result] = (await once(child, 'message')) as [LoadResult];
      return result;
    },
  };
}

const plain = plainSqlite(createFile('plain.db'));
const server = await startServer({ data: join(folder, 'data'), listen: { host: '127.0.0.1', port: 0 } });
const database = await server.createDatabase('shop', { from: createFile('existing.db') });
const clients = fork(new URL('support/hrana-load.ts', import.meta.url));

const contestants: readonly Contestant[] = [
  { name: 'plain SQLite FULL, 1 writer', run: plain },
  ...[1, 8, 64, 256].map((workers) => inProcess(database, workers)),
  ...[1, 64].map((workers) => overHrana(clients, server, 'write', workers)),
  ...[1, 8, 64].map((workers) => overHrana(clients, server, 'read', workers)),
];

const runs = new Map<string, Measured[]>(contestants.map(({ name }) => [name, []]));
for (let round = 0; round <= rounds; round++) {
  for (const { name, run } of contestants) {
    const result = await run();
    progress(`${round === 0 ? 'warm-up' : `round ${round}`}: ${name}: ${JSON.stringify(result)}`);
    if (round > 0) runs.get(name)?.push(result);
  }
}

/** Every row but those of the beginning is a commit of its own. */
const commitsSoFar = async (): Promise<number> => {
  const { rows: counted } = await database.execute('SELECT count(*) AS n FROM orders');
  return Number(counted[0]?.['n']) - rows;
};

const of = (name: string, what: keyof LoadResult): number => median((runs.get(name) ?? []).map((run) => run[what]));
const [PLAIN, ONE, MANY, HRANA] = [
  'plain SQLite FULL, 1 writer',
  'in process, 1 writers',
  'in process, 64 writers',
  'over Hrana, 64 writers',
];

const commitsBefore = BigInt(await commitsSoFar());
await inProcess(database, 64).run();
clients.disconnect();
await server[Symbol.asyncDispose]();

printResult({
  benchmark: 'commit',
  what: `INSERT of a row with one random index into ${rows} rows, each in a transaction of its own, ${seconds} s a run`,
  machine: describeMachine('none'),
  ratios: {
    'latency of 1 writer in process / plain': rounded(of(ONE, 'medianMs') / of(PLAIN, 'medianMs')),
    'rate of 64 writers in process / plain': rounded(of(MANY, 'perSecond') / of(PLAIN, 'perSecond')),
    'rate of 64 writers over Hrana / plain': rounded(of(HRANA, 'perSecond') / of(PLAIN, 'perSecond')),
  },
  journalBytesPerCommit: rounded(await journalBytesPerCommit(commitsBefore)),
  runs: Object.fromEntries(runs),
});
