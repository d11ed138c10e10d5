import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { moveIntoPlace, ownedBy, sharedTemporaryDirectory } from './postgres-binaries.ts';

/**
 * Puts an empty PostgreSQL of a center into the data folder, so that the first start need not make one, which takes
 * seconds. It is made once for a version and machine; later calls copy.
 */
export async function prepareCenterDatabase(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { status, stderr } = spawnSync('cp', ['-a', await template(), join(folder, 'database')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

async function template(): Promise<string> {
  const owner = process.getuid?.() ?? 0;
  const target = join(sharedTemporaryDirectory(), `speil-test-pglite-${pgliteVersion()}-${owner}`);
  if (existsSync(target)) return ownedBy(owner, target);
  const made = mkdtempSync(join(sharedTemporaryDirectory(), 'speil-test-pglite.'));
  const pglite = await PGlite.create({ dataDir: join(made, 'database') });
  await pglite.close();
  moveIntoPlace(join(made, 'database'), target);
  rmSync(made, { recursive: true });
  return target;
}

function pgliteVersion(): string {
  const manifest = new URL('../../node_modules/@electric-sql/pglite/package.json', import.meta.url);
  return String((JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: unknown }).version);
}
