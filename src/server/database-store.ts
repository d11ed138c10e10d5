import { SpeilError } from '../core/error.ts';
import type { StoreParts } from './instance.ts';
import type { DatabaseStore } from './served-database.ts';

/** Opens the databases of a data folder, which the caller has locked. */
export async function openDatabaseStore({ folder }: StoreParts): Promise<DatabaseStore> {
  throw new SpeilError('INTERNAL', `the databases of ${folder} cannot be opened: the engine is not part of this build`);
}
