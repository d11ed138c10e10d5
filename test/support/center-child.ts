import { joinFarm } from './cycle-farm.ts';

/**
 * An operation center of a process of its own, for tests that kill or freeze it: folder, database, name, lease in ms. What it
 * logs it prints.
 */
const [folder = '', address = '', name = '', leaseMs = ''] = process.argv.slice(2);
const print = (_fields: object, message: string): void => void process.stdout.write(`${message}\n`);
await joinFarm(folder, address, name, {
  leaseMs: Number(leaseMs),
  cyclesMax: 4,
  log: { info: print, warn: print, error: print },
});
process.stdout.write('ready\n');
