import { test } from 'node:test';
import { TRANSPORTS } from '../support/remote-task.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import { randomFaults } from './transport-faults.ts';

const seed = Number(process.env['SPEIL_SEED'] ?? Date.now() % 1_000_000);

for (const transport of TRANSPORTS) {
  test(`${transport}: faults on the way from PostgreSQL to PostgreSQL leave no difference (SPEIL_SEED=${seed})`, async () => {
    const server = await sharedPostgres();
    const source = await server.createDatabase(`source_${transport}`);
    const mirrors = source.replace(`source_${transport}`, `mirror_${transport}_{tenant}`);
    await randomFaults(transport, seed, { source, mirrors }, 6);
  });
}
