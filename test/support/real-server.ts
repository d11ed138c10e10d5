import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../../src/server.ts';

/** A server as it is started by its command, with an empty database `main`, on a folder of its own. */
export async function openRealServer() {
  const folder = mkdtempSync(join(tmpdir(), 'speil-server-'));
  const server = await startServer({ data: folder, listen: { host: '127.0.0.1', port: 0 } });
  await server.createDatabase('main');
  return {
    server,
    url: (scheme: string) => `${server.url.replace(/^http/, scheme)}/main/`,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
