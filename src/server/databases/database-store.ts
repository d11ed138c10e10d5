import { existsSync, readdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SpeilError } from '../../core/error.ts';
import { createDatabase } from '../../engine/sqlite/create.ts';
import { DatabaseName } from './database-name.ts';
import { EngineDatabase } from './engine-database.ts';
import type { DatabaseStore } from './served-database.ts';
import type { StoreParts } from './store-parts.ts';

/** Databases whose processes are started before they are needed; each takes about 200 MB. */
const WARMED_MAX = 2;

/** Of what is removed, and of what was not made to its end; no names of databases. */
const DROPPED = '.dropped-';
const UNFINISHED = /^(.+)\.new$/;

const isLeftOver = (name: string): boolean =>
  name.startsWith(DROPPED) || DatabaseName.is(UNFINISHED.exec(name)?.[1] ?? '');

/** The databases of a data folder, sorted. */
export const databasesIn = (folder: string): readonly DatabaseName[] =>
  readdirSync(folder)
    .filter((name) => DatabaseName.is(name) && existsSync(join(folder, name, 'state.json')))
    .map((name) => DatabaseName.of(name))
    .toSorted();

/** Opens the databases of a data folder, which the caller has locked. */
export async function openDatabaseStore(parts: StoreParts): Promise<DatabaseStore> {
  for (const name of readdirSync(parts.folder).filter(isLeftOver))
    await rm(join(parts.folder, name), { recursive: true, force: true });
  return new FolderStore(parts);
}

class FolderStore implements DatabaseStore {
  readonly #parts: StoreParts;
  #opened: readonly EngineDatabase[] = [];

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  list(): readonly DatabaseName[] {
    return databasesIn(this.#parts.folder);
  }

  async open(name: DatabaseName): Promise<EngineDatabase> {
    const database = await EngineDatabase.open(name, this.#folderOf(name), this.#parts);
    this.#opened = [...this.#open, database];
    if (this.#opened.length <= WARMED_MAX) database.warm();
    return database;
  }

  async create(name: DatabaseName, { from }: { readonly from?: string | undefined } = {}): Promise<EngineDatabase> {
    const { disk, random } = this.#parts;
    const folder = this.#folderOf(name);
    if (existsSync(folder)) throw taken(name);
    await createDatabase({ disk, random, folder, from, mayMove: true });
    try {
      return await this.open(name);
    } catch (error) {
      await this.drop(name);
      throw error;
    }
  }

  async drop(name: DatabaseName): Promise<void> {
    const aside = join(this.#parts.folder, `${DROPPED}${name}-${this.#parts.random.uuid()}`);
    renameSync(this.#folderOf(name), aside);
    await this.#parts.disk.syncFolder(this.#parts.folder);
    await rm(aside, { recursive: true, force: true });
  }

  get #open(): readonly EngineDatabase[] {
    return this.#opened.filter(({ isOpen }) => isOpen);
  }

  executors(): { readonly running: number; readonly busy: number } {
    const counts = this.#open.map(({ sql }) => sql.executorCounts);
    return {
      running: counts.reduce((sum, { running }) => sum + running, 0),
      busy: counts.reduce((sum, { busy }) => sum + busy, 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((database) => database[Symbol.asyncDispose]()));
  }

  #folderOf(name: DatabaseName): string {
    return join(this.#parts.folder, name);
  }
}

const taken = (name: string): SpeilError =>
  new SpeilError('CONFLICT', `there is a database ${name} already`, { hint: 'Choose another name.' });
