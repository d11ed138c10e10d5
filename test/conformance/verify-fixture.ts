import { DatabaseSync } from 'node:sqlite';
import { mirror } from '../../src/mirror.ts';
import { type TableVerdict, type VerifyOptions, type VerifyReport, verify } from '../../src/verify.ts';
import { withClient } from '../support/postgres-client.ts';
import type { PostgresVersion } from '../support/postgres-server.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';

export type Kind = 'sqlite' | `postgres${PostgresVersion}`;

/** Every kind as source and as mirror, and PostgreSQL of two versions. */
export const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['postgres18', 'postgres18'],
  ['postgres18', 'postgres13'],
  ['postgres18', 'sqlite'],
  ['sqlite', 'postgres18'],
  ['sqlite', 'sqlite'],
];

/** A database of a test, written by a plain connection. */
export type TestDatabase = { readonly address: string; run(sql: string): Promise<void> };

let databases = 0;

/** A source and a mirror, both empty, that go with the test. */
export class Pair implements Disposable {
  readonly source: TestDatabase;
  readonly mirror: TestDatabase;
  readonly #directory: Disposable;

  private constructor(source: TestDatabase, mirror: TestDatabase, directory: Disposable) {
    this.source = source;
    this.mirror = mirror;
    this.#directory = directory;
  }

  static async open([source, mirror]: readonly [Kind, Kind]): Promise<Pair> {
    const directory = withDirectory('speil-verify-');
    return new Pair(await open(source, directory), await open(mirror, directory), directory);
  }

  /** One cycle, which must succeed. */
  async cycle(): Promise<void> {
    const report = await mirror(this.addresses);
    if (report.status !== 'completed') throw new Error(JSON.stringify(report));
  }

  verify(options: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
    return verify({ ...this.addresses, ...options });
  }

  get addresses(): { readonly source: string; readonly mirror: string } {
    return { source: this.source.address, mirror: this.mirror.address };
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}

async function open(kind: Kind, directory: { file(name: string): string }): Promise<TestDatabase> {
  const name = `verify_${++databases}`;
  if (kind === 'sqlite') return openFile(directory.file(`${name}.db`));
  const server = await sharedPostgres(Number(kind.slice('postgres'.length)) as PostgresVersion);
  const address = await server.createDatabase(name);
  return {
    address,
    run: async (sql) => {
      await withClient(address, (client) => client.query(sql));
    },
  };
}

function openFile(path: string): TestDatabase {
  const run = async (sql: string): Promise<void> => {
    using database = new DatabaseSync(path, { timeout: 10_000 });
    database.exec(sql);
  };
  run('PRAGMA journal_mode = WAL');
  return { address: path, run };
}

/** What was found, short: the key and the kind of each difference, by table. */
export const found = (report: VerifyReport): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(
    report.tables.map((table) => [table.table, table.differences.map(({ key, kind }) => `${key} ${kind}`)]),
  );

export function verdictOf(report: VerifyReport, name: string): TableVerdict {
  const table = report.tables.find((candidate) => candidate.table === name);
  if (table === undefined) throw new Error(`no verdict on ${name}`);
  return table;
}

/** Rows 1 to `count` of one column `i`, in either dialect. */
export const series = (count: number): string =>
  `(WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ${count}) SELECT i FROM s) s`;
