import { posix } from 'node:path';
import type { Disk, DiskFile } from '../src/core/disk.ts';
import { SimInode } from './disk-file.ts';
import type { SimRandom } from './random.ts';

type Names = Map<string, SimInode>;
type NameChange = { readonly folder: string; readonly apply: (names: Names) => void };

/**
 * A disk in memory. A crash loses any part of what was not synced, names among it, and may tear the last write; a sync may
 * fail, once or for ever, and then what it should have written may be gone although the system goes on showing it; there may
 * be no room. What happens depends on the seed alone. Folders that were made stay.
 */
export class SimDisk implements Disk {
  readonly #random: SimRandom;
  #names: Names = new Map();
  #durableNames: Names = new Map();
  #nameChanges: NameChange[] = [];
  readonly #folders = new Set<string>(['.']);
  /** Files that were opened in an earlier life of the process are gone. */
  #life = 0;
  #operationsLeft = Number.POSITIVE_INFINITY;
  #syncFailures = 0;
  #writeFailures = 0;
  #writeFailureCode: 'EIO' | 'ENOSPC' = 'EIO';
  #readFailures = 0;
  #stopped = false;

  /** For all files together. */
  capacityBytes = Number.POSITIVE_INFINITY;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  /** Whether the power is off: everything fails, until {@link restart}. */
  get stopped(): boolean {
    return this.#stopped;
  }

  get syncsFail(): boolean {
    return this.#syncFailures > 0;
  }

  /** The power goes during the operation after so many others. */
  stopAfter(operations: number): void {
    this.#operationsLeft = operations;
  }

  /** So many of the next syncs fail. */
  failSyncs(count: number): void {
    this.#syncFailures = count;
  }

  /** So many of the next writes fail, in the middle. */
  failWrites(count: number, code: 'EIO' | 'ENOSPC' = 'EIO'): void {
    this.#writeFailures = count;
    this.#writeFailureCode = code;
  }

  /** So many of the next reads fail with `EIO`. */
  failReads(count: number): void {
    this.#readFailures = count;
  }

  /** The process ended, the system did not: nothing is lost. */
  endProcess(): void {
    this.#life += 1;
    this.#heal();
  }

  /** The power went, and is back. */
  restart(): void {
    this.#life += 1;
    this.#heal();
    for (const { apply } of this.#nameChanges) if (this.#random.chance(0.5)) apply(this.#durableNames);
    this.#nameChanges = [];
    this.#names = new Map(this.#durableNames);
    for (const inode of new Set(this.#names.values())) inode.crash(this.#random);
  }

  #heal(): void {
    this.#stopped = false;
    this.#operationsLeft = Number.POSITIVE_INFINITY;
    this.#syncFailures = 0;
    this.#writeFailures = 0;
    this.#readFailures = 0;
  }

  /** Paths and what is in the files, as the system shows it. */
  files(): ReadonlyMap<string, Buffer> {
    return new Map([...this.#names].map(([path, inode]) => [path, inode.shown]));
  }

  /** Another disk with the same files, all of them durable. */
  copy(random: SimRandom): SimDisk {
    const copy = new SimDisk(random);
    copy.#names = new Map([...this.#names].map(([path, inode]) => [path, inode.copy()]));
    copy.#durableNames = new Map(copy.#names);
    for (const folder of this.#folders) copy.#folders.add(folder);
    return copy;
  }

  /** Changes a file behind everyone's back. */
  damage(path: string, change: (content: Buffer) => void): void {
    this.#inode(path, 'open').damage(change);
  }

  /** Makes a file shorter behind everyone's back. */
  shorten(path: string, length: number): void {
    const inode = this.#inode(path, 'open');
    inode.truncate(length);
    inode.sync();
  }

  /** Takes a file away behind everyone's back. */
  lose(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    const name = posix.normalize(path);
    await this.#operation();
    if (mode === 'create') this.#create(name);
    return this.#file(name, this.#inode(name, 'open'));
  }

  #create(name: string): void {
    if (this.#names.has(name)) throw failure('EEXIST', 'open', name);
    if (!this.#folders.has(posix.dirname(name))) throw failure('ENOENT', 'open', name);
    if (this.#freeBytes() <= 0) throw failure('ENOSPC', 'open', name);
    const inode = new SimInode();
    this.#changeNames(name, (names) => names.set(name, inode));
  }

  #file(path: string, inode: SimInode): DiskFile {
    const life = this.#life;
    let open = true;
    const use = async (): Promise<void> => {
      await this.#operation();
      if (!open || life !== this.#life) throw failure('EBADF', 'use', path);
    };
    return {
      read: async (into, position) => {
        await use();
        return this.#read(path, inode, into, position);
      },
      write: async (pieces, position) => {
        await use();
        this.#write(path, inode, Buffer.concat(pieces), position);
      },
      sync: async () => {
        await use();
        this.#sync(path, inode);
      },
      truncate: async (length) => {
        await use();
        inode.truncate(length);
      },
      length: async () => {
        await use();
        return inode.length;
      },
      close: async () => {
        open = false;
      },
    };
  }

  #read(path: string, inode: SimInode, into: Uint8Array, position: number): number {
    if (this.#readFailures === 0) return inode.read(into, position);
    this.#readFailures -= 1;
    throw failure('EIO', 'read', path);
  }

  #write(path: string, inode: SimInode, bytes: Buffer, position: number): void {
    const growth = Math.max(position + bytes.length - inode.length, 0);
    const missing = growth === 0 ? 0 : Math.max(growth - Math.max(this.#freeBytes(), 0), 0);
    const fails = this.#writeFailures > 0;
    const taken = Math.max(bytes.length - missing, 0);
    const written = fails ? this.#random.integer(0, taken) : taken;
    if (written > 0) inode.write(bytes.subarray(0, written), position);
    if (fails) {
      this.#writeFailures -= 1;
      throw failure(this.#writeFailureCode, 'write', path);
    }
    if (missing > 0) throw failure('ENOSPC', 'write', path);
  }

  #sync(path: string, inode: SimInode): void {
    if (this.#syncFailures === 0) {
      inode.sync();
      return;
    }
    this.#syncFailures -= 1;
    inode.failSync(this.#random);
    throw failure('EIO', 'fdatasync', path);
  }

  #freeBytes(): number {
    return [...this.#names.values()].reduce((free, { length }) => free - length, this.capacityBytes);
  }

  async list(folder: string): Promise<readonly string[]> {
    const name = posix.normalize(folder);
    await this.#operation();
    if (!this.#folders.has(name)) throw failure('ENOENT', 'scandir', name);
    return [...this.#names.keys()]
      .filter((path) => posix.dirname(path) === name)
      .map((path) => posix.basename(path))
      .sort();
  }

  async makeFolder(path: string): Promise<void> {
    await this.#operation();
    for (let name = posix.normalize(path); name !== '.' && name !== '/'; name = posix.dirname(name))
      this.#folders.add(name);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [posix.normalize(from), posix.normalize(to)];
    await this.#operation();
    const inode = this.#inode(source, 'rename');
    this.#changeNames(target, (names) => {
      names.delete(source);
      names.set(target, inode);
    });
  }

  async remove(path: string): Promise<void> {
    const name = posix.normalize(path);
    await this.#operation();
    if (this.#names.has(name)) this.#changeNames(name, (names) => names.delete(name));
  }

  async syncFolder(path: string): Promise<void> {
    const folder = posix.normalize(path);
    await this.#operation();
    if (this.#syncFailures > 0) {
      this.#syncFailures -= 1;
      throw failure('EIO', 'fsync', folder);
    }
    for (const change of this.#nameChanges) if (change.folder === folder) change.apply(this.#durableNames);
    this.#nameChanges = this.#nameChanges.filter((change) => change.folder !== folder);
  }

  #changeNames(path: string, apply: (names: Names) => void): void {
    apply(this.#names);
    this.#nameChanges.push({ folder: posix.dirname(path), apply });
  }

  #inode(name: string, call: string): SimInode {
    const inode = this.#names.get(name);
    if (inode === undefined) throw failure('ENOENT', call, name);
    return inode;
  }

  /** Every operation takes its time, so that others come between; the power may go before it, or just after. */
  async #operation(): Promise<void> {
    for (let waits = this.#random.integer(0, 2); waits > 0; waits -= 1) await null;
    if (!this.#stopped && this.#operationsLeft > 0) {
      this.#operationsLeft -= 1;
      return;
    }
    this.#stopped = true;
    throw failure('EPOWER', 'use', 'the machine is off');
  }
}

const failure = (code: string, call: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path });
