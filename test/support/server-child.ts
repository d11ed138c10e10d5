import { systemDisk } from '../../src/runtime/system-disk.ts';
import { startServer } from '../../src/server.ts';
import { unsyncedDisk } from './unsynced-disk.ts';

/** A server in a process that can be killed, and whose unsynced writes can be taken back then. Arguments: data folder, log. */
const [data = '', log = ''] = process.argv.slice(2);
const server = await startServer({
  data,
  listen: { host: '127.0.0.1', port: 0 },
  disk: unsyncedDisk(systemDisk, log),
  log: { write: (text) => process.stderr.write(text), form: 'words' },
});
process.send?.({ url: server.url });
process.once('message', async () => {
  await server[Symbol.asyncDispose]();
  process.exit(0);
});
