import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { systemRandom } from '../../src/runtime/system-random.ts';
import type { ClientProtocol, ProtocolRequest, ProtocolUpgrade } from '../../src/server/http/client-protocol.ts';
import { createHranaProtocol } from '../../src/server/http/hrana-protocol.ts';
import { type Instance, type InstanceOptions, startInstance } from '../../src/server/instance.ts';
import { createLog } from '../../src/service/log.ts';
import { SqliteStore } from './sqlite-store.ts';

/** Says what the shell has handed to it. */
class TellingProtocol implements ClientProtocol {
  answerVersionCheck(_request: ProtocolRequest['request'], response: ProtocolRequest['response'], path: string): void {
    response.writeHead(path === '/v3' ? 200 : 404).end();
  }

  async answer({ request, response, database, access, identity, path }: ProtocolRequest): Promise<void> {
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) bytes += chunk.byteLength;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ database: database.name, access, identity, path, bytes }));
  }

  upgrade({ socket }: ProtocolUpgrade): void {
    socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export type ShellServer = AsyncDisposable & {
  readonly instance: Instance;
  readonly url: string;
  readonly data: string;
  /** Lines of the log. */
  readonly said: readonly Readonly<Record<string, unknown>>[];
};

/** The server's shell over databases without a journal, on a port of its own. */
export async function startShell(
  options: Partial<InstanceOptions> & { readonly hrana?: boolean } = {},
): Promise<ShellServer> {
  const own = mkdtempSync(join(tmpdir(), 'speil-server-'));
  const data = options.data ?? join(own, 'data');
  const said: Readonly<Record<string, unknown>>[] = [];
  const write = (text: string) => void said.push(JSON.parse(text));
  const instance = await startInstance(
    { name: 'a', listen: { host: '127.0.0.1', port: 0 }, ...options, data },
    {
      clock: systemClock,
      random: systemRandom,
      disk: systemDisk,
      version: '0.0.0',
      log: createLog({ write, form: 'json', clock: systemClock, redact: (text) => text }),
      openStore: async ({ folder }) => new SqliteStore(folder),
      createProtocol: (parts) => (options.hrana ? createHranaProtocol(parts) : new TellingProtocol()),
    },
  );
  return {
    instance,
    url: instance.url,
    data,
    said,
    [Symbol.asyncDispose]: async () => {
      await instance[Symbol.asyncDispose]();
      rmSync(own, { recursive: true, force: true });
    },
  };
}
