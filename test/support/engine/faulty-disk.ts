import type { Disk, DiskFile } from '../../../src/core/disk.ts';

export type DiskOperation = 'write' | 'sync' | 'create' | 'truncate';

/** What goes wrong next: the code of an error, or null. */
export type Fault = (operation: DiskOperation, path: string) => string | null;

/** The real disk, which fails when it is told to. */
export class FaultyDisk implements Disk {
  readonly #disk: Disk;
  fault: Fault = () => null;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    if (mode === 'create') this.#judge('create', path);
    const file = await this.#disk.open(path, mode);
    return {
      read: (into, position) => file.read(into, position),
      length: () => file.length(),
      close: () => file.close(),
      write: async (pieces, position) => {
        this.#judge('write', path);
        await file.write(pieces, position);
      },
      truncate: async (length) => {
        this.#judge('truncate', path);
        await file.truncate(length);
      },
      sync: async () => {
        this.#judge('sync', path);
        await file.sync();
      },
    };
  }

  #judge(operation: DiskOperation, path: string): void {
    const code = this.fault(operation, path);
    if (code !== null) throw Object.assign(new Error(`${code}: ${operation} of ${path}`), { code });
  }

  list(folder: string): Promise<readonly string[]> {
    return this.#disk.list(folder);
  }

  makeFolder(path: string): Promise<void> {
    return this.#disk.makeFolder(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#disk.remove(path);
  }

  syncFolder(path: string): Promise<void> {
    return this.#disk.syncFolder(path);
  }
}
