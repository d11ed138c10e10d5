import pg from 'pg';

/**
 * Opens a plain connection, hands it to `work` and closes it. A connection that the server cuts fails the query that
 * runs on it and nothing else.
 */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(url);
  try {
    return await work(client);
  } finally {
    await close(client);
  }
}

/** A plain connection that the caller ends with {@link close}; its loss is no uncaught error. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export const close = (client: pg.Client): Promise<void> => client.end().catch(() => undefined);
