import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import { createHranaServer, type HranaLimits, type HranaServer } from '../../src/server/hrana/server.ts';
import type { Access } from '../../src/server/sql.ts';
import { DirectSqlDatabase } from './direct-sql-database.ts';

export type Token = { readonly access: Access; readonly identity: string };

export type HranaServiceOptions = {
  readonly clock?: Clock;
  readonly limits?: Partial<HranaLimits>;
  readonly databases?: readonly DirectSqlDatabase[];
  /** By token; whoever has none may write. */
  readonly tokens?: Readonly<Record<string, Token>>;
};

const NOBODY: Token = { access: 'write', identity: 'nobody' };

/** A server of Hrana with next to nothing around it: `http://127.0.0.1:port/<database>/`. */
export class HranaService implements AsyncDisposable {
  readonly databases: readonly DirectSqlDatabase[];
  readonly hrana: HranaServer;
  readonly defects: unknown[] = [];
  readonly #http = createServer();
  readonly #tokens: Readonly<Record<string, Token>>;

  constructor({
    clock = systemClock,
    limits,
    databases = [new DirectSqlDatabase()],
    tokens = {},
  }: HranaServiceOptions) {
    this.databases = databases;
    this.#tokens = tokens;
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.hrana = createHranaServer({
      clock,
      random: systemRandom,
      secret: randomBytes(32),
      limits,
      onDefect: (error) => this.defects.push(error),
    });
    this.#http.on('request', (request, response) => {
      const [database, path] = this.#find(request.url ?? '/');
      const bearer = request.headers.authorization?.replace('Bearer ', '');
      const { access, identity } = this.#tokens[bearer ?? ''] ?? NOBODY;
      void this.hrana.handle(request, response, { database, path, access, identity });
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const [database] = this.#find(request.url ?? '/');
    const authorize = (token: string | null) => (token === null ? NOBODY : (this.#tokens[token] ?? null));
    this.hrana.accept(request, socket, head, { database, authorize });
  }

  #find(url: string): [DirectSqlDatabase, string] {
    const [, name, path = '/'] = /^\/([^/?]+)(\/[^?]*)?/.exec(url) ?? [];
    const database = this.databases.find((each) => each.name === name);
    if (database === undefined) throw new Error(`no database at ${url}`);
    return [database, path];
  }

  async listen(): Promise<this> {
    await new Promise<void>((done) => this.#http.listen(0, '127.0.0.1', done));
    return this;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  url(scheme = 'http', name = 'main'): string {
    return `${scheme}://127.0.0.1:${this.port}/${name}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hrana.close();
    this.#http.closeAllConnections();
    await new Promise((done) => this.#http.close(done));
    for (const database of this.databases) await database[Symbol.asyncDispose]();
  }
}

export const openHranaService = (options: HranaServiceOptions = {}): Promise<HranaService> =>
  new HranaService(options).listen();
