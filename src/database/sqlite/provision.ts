import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SpeilError } from '../../core/error.ts';
import { fillTemplate, hasTenantPlaceholder, tenantIn } from '../location-template.ts';
import { isWritable } from './connection.ts';
import type { SqliteLocation } from './source.ts';

/** Makes what has to be there before the database can be opened as a mirror: its folder. */
export async function provision({ path, display }: SqliteLocation): Promise<void> {
  const folder = dirname(path);
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new SpeilError('PRIVILEGE_MISSING', `${display}: the folder ${folder} cannot be made (${why}).`, {
      hint: `mkdir -p '${folder}', as a user who may, and give it to the one who runs the client.`,
      cause,
    });
  }
}

/** What keeps this user from making it, as a command that changes that; null when nothing does. Changes nothing. */
export async function missingForProvision({ path }: SqliteLocation): Promise<string | null> {
  let folder = dirname(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  if (!statSync(folder).isDirectory()) throw noFolder(folder);
  return isWritable(folder) ? null : `chmod u+w '${folder}'`;
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    if (why === 'ENOTDIR') throw noFolder(folder);
    throw new SpeilError('PRIVILEGE_MISSING', `the folder ${folder} cannot be read (${why})`, {
      hint: `chmod u+rwx '${folder}', as a user who may.`,
      cause,
    });
  }
}

const noFolder = (path: string): SpeilError =>
  new SpeilError('USAGE', `${path} is a file, not a folder`, { hint: 'Name a folder for the mirrors.' });

/** The tenants whose database is there, by the template of their addresses. Makes nothing. */
export async function provisioned({ path }: SqliteLocation): Promise<readonly string[]> {
  const parts = path.split('/');
  const index = parts.findIndex(hasTenantPlaceholder);
  const folder = parts.slice(0, index).join('/') || (path.startsWith('/') ? '/' : '.');
  if (index === -1 || !existsSync(folder)) return [];
  return namesIn(folder)
    .map((name) => tenantIn(parts[index] ?? '', name))
    .filter((tenant) => tenant !== null)
    .filter((tenant) => existsSync(fillTemplate(join(folder, ...parts.slice(index)), tenant)))
    .toSorted();
}
