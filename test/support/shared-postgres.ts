import { after } from 'node:test';
import { type PostgresServer, type PostgresVersion, startPostgres } from './postgres-server.ts';

const servers = new Map<PostgresVersion, Promise<PostgresServer>>();

after(async () => {
  await Promise.allSettled([...servers.values()].map(async (server) => (await server)[Symbol.asyncDispose]()));
});

/** The server that the tests of one process share. Ends with the last of them; make a database for each test. */
export function sharedPostgres(version: PostgresVersion = 18): Promise<PostgresServer> {
  const server = servers.get(version) ?? startPostgres({ version });
  servers.set(version, server);
  return server;
}
