import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { SpeilError } from '../core/error.ts';

/**
 * Writes a new secret into a new file that only its owner reads. The file is there before the secret is made, so that none is
 * lost for want of a place; and goes when none is made. Without a name nothing is written.
 */
export async function keepSecret<T extends { readonly secret: string }>(
  file: string | undefined,
  make: () => Promise<T>,
): Promise<T> {
  if (file === undefined) return make();
  const descriptor = openNew(file);
  try {
    const made = await make();
    writeFileSync(descriptor, `${made.secret}\n`);
    return made;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function openNew(name: string): number {
  try {
    return openSync(name, 'wx', 0o600);
  } catch (cause) {
    throw new SpeilError('USAGE', `${name} cannot be made, or is there already.`, { hint: 'Name a new file.', cause });
  }
}
