import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { mirror } from '../src/mirror.ts';
import { createAccounts, createAccountsDatabase, createAccountsFile, fingerprint } from './support/accounts.ts';
import { describeMachine } from './support/machine.ts';
import { pipe, runSpeil, versionOf } from './support/programs.ts';
import { NativeReplication } from './support/replication.ts';
import { alternate, type Contestant, printResult, progress, ratio, readNumbers, timed } from './support/runs.ts';
import { type MirrorDatabaseOfRun, ServerPair } from './support/servers.ts';
import { median, rounded } from './support/statistics.ts';

const { rows, runs, sqliteRuns } = readNumbers({ rows: 2_000_000, runs: 5, sqliteRuns: 3 });
const SOURCE = 'shop';

progress(`a source of ${rows} rows`);
await using pair = await ServerPair.start();
const source = await createAccountsDatabase(pair.source, SOURCE, rows);
const expected = await fingerprint(pair.source, SOURCE);
const directory = mkdtempSync(join(tmpdir(), 'speil-bench-load-'));
using cleanup = new DisposableStack();
cleanup.defer(() => rmSync(directory, { recursive: true }));
const sourceFile = join(directory, 'source.db');
createAccountsFile(sourceFile, rows);

/** A run into a new database of the mirror's server: what is there before is not measured, and what came is checked. */
async function intoMirror(
  prepare: (mirror: MirrorDatabaseOfRun) => Promise<unknown>,
  work: (mirror: MirrorDatabaseOfRun) => Promise<unknown>,
) {
  await using database = await pair.newMirror();
  await prepare(database);
  await pair.settle();
  const seconds = await timed(() => work(database));
  const found = await fingerprint(pair.mirror, database.name);
  if (found !== expected) throw new Error(`the copy is ${found}, not ${expected}`);
  return seconds;
}

const untrack = () => runSpeil(['untrack', source]);

/** What logical replication takes beyond its last row, until the table is ready to follow; not held against it. */
const readyS: number[] = [];

async function nativeFirstSync(): Promise<number> {
  await using replication = await NativeReplication.prepare(pair, SOURCE);
  await pair.settle();
  const copiedS = await timed(() => replication.copy());
  readyS.push(rounded(copiedS + (await timed(() => replication.becomesReady()))));
  return copiedS;
}

async function intoFile(work: (path: string) => Promise<unknown>): Promise<number> {
  const path = join(directory, 'mirror.db');
  await pair.settle();
  const seconds = await timed(() => work(path));
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
  return seconds;
}

/** SQLite's own way from file to file: one statement in one process. */
async function attachAndInsert(path: string): Promise<void> {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; ATTACH '${sourceFile}' AS source`);
  database.exec('CREATE TABLE accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler text)');
  database.exec('INSERT INTO accounts SELECT * FROM source.accounts');
  database.close();
}

const nothing = async () => undefined;
const withTable = (database: MirrorDatabaseOfRun) => createAccounts(pair.mirror, database.name);

const contestants: readonly (Contestant & { readonly needs?: 'psql' | 'pg_dump' })[] = [
  { name: 'speil', run: () => intoMirror(untrack, ({ url }) => runSpeil(['mirror', source, url, '--quiet'])) },
  { name: 'speil as a library', run: () => intoMirror(untrack, ({ url }) => mirror({ source, mirror: url })) },
  {
    name: 'COPY | COPY',
    needs: 'psql',
    run: () =>
      intoMirror(withTable, ({ url }) =>
        pipe(['psql', '-qc', 'COPY accounts TO STDOUT', source], ['psql', '-qc', 'COPY accounts FROM STDIN', url]),
      ),
  },
  {
    name: 'pg_dump | psql',
    needs: 'pg_dump',
    run: () =>
      intoMirror(nothing, ({ url }) => pipe(['pg_dump', '-t', 'accounts', source], ['psql', '-qo', '/dev/null', url])),
  },
  { name: 'logical replication', run: nativeFirstSync },
];

const isThere = ({ needs }: { readonly needs?: 'psql' | 'pg_dump' }): boolean =>
  needs === undefined || (versionOf(needs) ?? 0) >= pair.version;

const toPostgres = await alternate(contestants.filter(isThere), runs, 's');
await untrack();

const files = await alternate(
  [
    { name: 'PostgreSQL → SQLite', run: () => intoFile((path) => runSpeil(['mirror', source, path, '--quiet'])) },
    { name: 'SQLite → SQLite', run: () => intoFile((path) => runSpeil(['mirror', sourceFile, path, '--quiet'])) },
    {
      name: 'SQLite → PostgreSQL',
      run: () =>
        intoMirror(
          () => runSpeil(['untrack', sourceFile]),
          ({ url }) => runSpeil(['mirror', sourceFile, url, '--quiet']),
        ),
    },
    { name: 'INSERT … SELECT of an attached file', run: () => intoFile(attachAndInsert) },
  ],
  sqliteRuns,
  's',
);

printResult({
  benchmark: 'load',
  what: `first copy of one table of ${rows} pgbench accounts, in seconds`,
  machine: describeMachine(await pair.fullVersion()),
  toPostgres,
  logicalReplicationReady: { runs: readyS.slice(1), median: rounded(median(readyS.slice(1))) },
  ratios: {
    'speil / logical replication until it is ready':
      toPostgres['speil'] === undefined ? null : rounded(toPostgres['speil'].median / median(readyS.slice(1))),
    'speil / logical replication': ratio(toPostgres, 'speil', 'logical replication'),
    'speil / pg_dump | psql': ratio(toPostgres, 'speil', 'pg_dump | psql'),
    'speil / COPY | COPY': ratio(toPostgres, 'speil', 'COPY | COPY'),
    'SQLite → SQLite / INSERT … SELECT': ratio(files, 'SQLite → SQLite', 'INSERT … SELECT of an attached file'),
    'PostgreSQL → SQLite / INSERT … SELECT': ratio(files, 'PostgreSQL → SQLite', 'INSERT … SELECT of an attached file'),
  },
  withSqlite: files,
  rowsPerSecond: Object.fromEntries(
    Object.entries({ ...toPostgres, ...files }).map(([name, measured]) => [name, rounded(rows / measured.median)]),
  ),
});
