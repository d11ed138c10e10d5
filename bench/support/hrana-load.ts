import { createClient } from '@libsql/client';
import type { Load, LoadResult } from './commit-load.ts';
import { runLoad } from './commit-load.ts';

/** A process of clients, so that they take no time of the server's: told what to do by its parent, one load after another. */
process.on('message', async ({ url, load }: { readonly url: string; readonly load: Load }) => {
  const client = createClient({ url, concurrency: load.workers });
  const result: LoadResult = await runLoad(load, (sql, args) => client.execute({ sql, args: [...args] }));
  client.close();
  process.send?.(result);
});
