import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createMirrorClient, type MirrorClientOptions } from '../../src/client/mirror-client.ts';
import { type MirrorOptions, mirror as runMirror } from '../../src/mirror.ts';
import { Ends, runtime } from '../../src/open.ts';
import type { MirrorClientService } from '../../src/task/contract.ts';
import { runTask } from '../../src/task/mirroring-task.ts';
import { PREFERENCES_DEFAULT, type Preferences } from '../../src/task/preferences.ts';
import type { CycleReport, TableReport, TaskEvent } from '../../src/task/report.ts';
import { assertSameRows, type CompareOptions } from '../support/dump.ts';
import { withClient } from '../support/postgres-client.ts';
import type { PostgresVersion } from '../support/postgres-server.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { withDirectory } from '../support/workload.ts';

export type Kind = 'postgres' | 'sqlite';
export type Pair = {
  readonly name: string;
  readonly source: Kind;
  readonly mirror: Kind;
  readonly versions?: { readonly source: PostgresVersion; readonly mirror: PostgresVersion };
};

export const pairs: readonly Pair[] = [
  { name: 'postgres→postgres', source: 'postgres', mirror: 'postgres' },
  { name: 'postgres→sqlite', source: 'postgres', mirror: 'sqlite' },
  { name: 'sqlite→postgres', source: 'sqlite', mirror: 'postgres' },
  { name: 'sqlite→sqlite', source: 'sqlite', mirror: 'sqlite' },
];
export const fromPostgres: readonly Pair[] = pairs.filter(({ source }) => source === 'postgres');
export const fromSqlite: readonly Pair[] = pairs.filter(({ source }) => source === 'sqlite');

/** One text for both engines, or one for each. */
export type Sql = string | Readonly<Record<Kind, string>>;

type Row = Readonly<Record<string, unknown>>;

/** A database of a test, reached over plain connections of its own, as an application's would be. */
export class TestDatabase {
  readonly kind: Kind;
  readonly address: string;

  constructor(kind: Kind, address: string) {
    this.kind = kind;
    this.address = address;
  }

  /** Runs statements; answers the rows of the last one, a PostgreSQL value as the driver gives it. */
  async sql(sql: Sql): Promise<readonly Row[]> {
    const text = typeof sql === 'string' ? sql : sql[this.kind];
    if (this.kind === 'sqlite') return this.#sqlite(text);
    return withClient(this.address, async (client) => {
      const result: unknown = await client.query(text);
      const last = (Array.isArray(result) ? result.at(-1) : result) as { readonly rows?: readonly Row[] } | undefined;
      return last?.rows ?? [];
    });
  }

  /** The first column of the first row. */
  async value(sql: Sql): Promise<unknown> {
    const [row] = await this.sql(sql);
    return row === undefined ? undefined : Object.values(row)[0];
  }

  #sqlite(text: string): readonly Row[] {
    const database = new DatabaseSync(this.address.replace(/^sqlite:/, ''), { timeout: 10_000 });
    try {
      if (!/^\s*(?:SELECT|WITH|PRAGMA)\b/i.test(text)) {
        database.exec(text);
        return [];
      }
      return database.prepare(text).all() as Row[];
    } finally {
      database.close();
    }
  }
}

export type Cycle = { readonly report: CycleReport; readonly events: readonly TaskEvent[] };

type DecoratedOptions = Partial<Omit<MirrorClientOptions, 'mirror' | 'tenant'>> & {
  readonly resyncTables?: readonly string[];
};

type CycleOptions = Omit<MirrorOptions, 'source' | 'mirror'>;

/** A source and its mirror. Each cycle is a task of its own, so nothing is remembered but what the databases hold. */
export class Mirroring implements AsyncDisposable {
  readonly pair: Pair;
  readonly source: TestDatabase;
  readonly mirror: TestDatabase;
  readonly #directory: Disposable;

  private constructor(pair: Pair, source: TestDatabase, mirror: TestDatabase, directory: Disposable) {
    this.pair = pair;
    this.source = source;
    this.mirror = mirror;
    this.#directory = directory;
  }

  static async open(pair: Pair): Promise<Mirroring> {
    const directory = withDirectory();
    const make = async (kind: Kind, role: 'source' | 'mirror') => {
      if (kind === 'postgres') {
        const server = await sharedPostgres(pair.versions?.[role] ?? 18);
        return new TestDatabase(kind, await server.createDatabase());
      }
      const path = directory.file(`${role}.db`);
      if (role === 'source') new DatabaseSync(path).exec('PRAGMA journal_mode = WAL');
      return new TestDatabase(kind, `sqlite:${path}`);
    };
    return new Mirroring(pair, await make(pair.source, 'source'), await make(pair.mirror, 'mirror'), directory);
  }

  /** One cycle, whatever its outcome. */
  async run(options: CycleOptions = {}): Promise<Cycle> {
    const events: TaskEvent[] = [];
    const onEvent = (event: TaskEvent) => events.push(event);
    const report = await runMirror({ source: this.source.address, mirror: this.mirror.address, ...options, onEvent });
    return { report, events };
  }

  /** One cycle that must complete. */
  async cycle(options: CycleOptions = {}): Promise<Cycle> {
    const cycle = await this.run(options);
    assert.equal(cycle.report.status, 'completed', errorsOf(cycle).join('\n'));
    return cycle;
  }

  /** One cycle whose client is wrapped by `decorate`, which sees every call. */
  async decorated(
    decorate: (client: MirrorClientService) => MirrorClientService,
    preferences: Partial<Preferences> = {},
    { resyncTables = [], ...client }: DecoratedOptions = {},
  ): Promise<Cycle> {
    const tenant = 'speil';
    const events: TaskEvent[] = [];
    await using ends = await Ends.open({ source: this.source.address, mirror: this.mirror.address }, { tenant });
    const { clock } = runtime;
    const options = { mirror: ends.mirror, tenant, clock, build: 'test', ...client };
    const context = {
      ...runtime,
      source: ends.source,
      client: decorate(createMirrorClient(options)),
      tenant,
      resyncTables,
      preferences: { ...PREFERENCES_DEFAULT, ...preferences },
      selection: { schemas: null },
      takeOver: false,
      emit: (event: TaskEvent) => events.push(event),
      signal: new AbortController().signal,
    };
    return { report: await runTask(context, { kind: 'once' }), events };
  }

  /** The mirror holds what its source holds. */
  async same(options: CompareOptions = {}): Promise<void> {
    await assertSameRows(this.source.address, this.mirror.address, options);
  }

  /** A cycle that must complete and leave the mirror equal to its source. */
  async follow(options: CycleOptions = {}, compare: CompareOptions = {}): Promise<Cycle> {
    const cycle = await this.cycle(options);
    await this.same(compare);
    return cycle;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#directory[Symbol.dispose]();
  }
}

/** A test of each of the pairs. */
export function testPairs(
  name: string,
  body: (mirroring: Mirroring) => Promise<void>,
  chosen: readonly Pair[] = pairs,
): void {
  for (const pair of chosen) {
    test(`${pair.name}: ${name}`, async () => {
      await using mirroring = await Mirroring.open(pair);
      await body(mirroring);
    });
  }
}

export function tableOf({ report }: Cycle, name: string): TableReport {
  const found = report.tables.find(({ table }) => table === name);
  assert.ok(found, `the report has no table ${name}`);
  return found;
}

export const countsOf = (cycle: Cycle, name: string): Pick<TableReport, 'inserted' | 'updated' | 'deleted'> => {
  const { inserted, updated, deleted } = tableOf(cycle, name);
  return { inserted, updated, deleted };
};

/** Why tables or the cycle failed, one line each. */
export const errorsOf = ({ report }: Cycle): readonly string[] => [
  ...(report.error === undefined ? [] : [`${report.error.code}: ${report.error.message}`]),
  ...report.tables.flatMap(({ table, error }) =>
    error === undefined ? [] : [`${table}: ${error.code}: ${error.message}`],
  ),
];

/** Messages of warnings and notes. */
export const messagesOf = ({ events }: Cycle, kind: 'warning' | 'note'): readonly string[] =>
  events.flatMap((event) => (event.event === kind ? [event.message] : []));

/** Names of the tables that were copied whole. */
export const copiedIn = ({ events }: Cycle): readonly string[] =>
  events.flatMap((event) => (event.event === 'copy-started' ? [event.table] : []));
