import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { type Kind, TestDatabase } from '../conformance/mirroring.ts';
import { sharedPostgres } from './shared-postgres.ts';
import {
  APPLICATION,
  APPLICATION_KEY,
  postgresPlace,
  SoapService,
  sqlitePlace,
  TENANT,
  VENDOR_KEY,
} from './soap-service.ts';
import { type SoapCycle, type SoapTask, soapCycle } from './superoffice/soap-task.ts';
import { withDirectory } from './workload.ts';

type Rows = readonly Readonly<Record<string, unknown>>[];

/** Our own task and our own mirror client, which speak SuperOffice's contract with each other. */
export class BothEnds implements AsyncDisposable {
  readonly source: TestDatabase;
  readonly service: SoapService;
  readonly #directory: Disposable;

  private constructor(source: TestDatabase, service: SoapService, directory: Disposable) {
    this.source = source;
    this.service = service;
    this.#directory = directory;
  }

  static async open(kind: Kind, sql: string): Promise<BothEnds> {
    const directory = withDirectory();
    const server = kind === 'postgres' ? await sharedPostgres() : null;
    const address = server === null ? `sqlite:${directory.file('source.db')}` : await server.createDatabase();
    const source = new TestDatabase(kind, address);
    await source.sql(sql);
    const service = await SoapService.start(server === null ? await sqlitePlace() : await postgresPlace(server));
    return new BothEnds(source, service, directory);
  }

  run(task: SoapTask = {}): Promise<SoapCycle> {
    const clientPublicKey = createPublicKey(APPLICATION_KEY);
    const parties = { tenant: TENANT, application: APPLICATION, signingKey: VENDOR_KEY, clientPublicKey };
    return soapCycle(this.source.address, this.service.url, parties, task);
  }

  /** A cycle that must complete; answers which tables were copied whole. */
  async cycle(): Promise<readonly string[]> {
    const { report, events } = await this.run();
    assert.equal(report.status, 'completed', JSON.stringify(report, null, 1));
    return events.flatMap((event) => (event.event === 'copy-started' ? [event.table] : []));
  }

  async both(sql: string): Promise<readonly [Rows, Rows]> {
    return [plain(await this.source.sql(sql)), plain(await this.service.query(sql))];
  }

  async same(...queries: readonly string[]): Promise<void> {
    for (const sql of queries) {
      const [source, mirror] = await this.both(sql);
      assert.deepEqual(mirror, source, sql);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

const plain = (rows: Rows): Rows => rows.map((row) => ({ ...row }));
