import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The major versions that the registry's packages `postgres13` to `postgres18` bring. */
export type PostgresVersion = 13 | 14 | 15 | 16 | 17 | 18;

export const POSTGRES_VERSIONS: readonly PostgresVersion[] = [13, 14, 15, 16, 17, 18];

/** Who runs the servers: postgres refuses to be root, so root hands them to `nobody`. Empty for everyone else. */
export type Runner = { readonly uid?: number; readonly gid?: number };

const NOBODY = 65534;

export const runner: Runner = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

/** The folder of one version's programs: `bin/postgres`, `bin/initdb`, with `lib` and `share` beside `bin`. */
export type Binaries = { readonly version: PostgresVersion; readonly release: string; readonly directory: string };

const found = new Map<PostgresVersion, Binaries>();

/** The programs of a version, complete and executable by {@link runner}; a copy where the installed ones are not. */
export function binariesOf(version: PostgresVersion): Binaries {
  const binaries = found.get(version) ?? findBinaries(version);
  found.set(version, binaries);
  return binaries;
}

/** A directory for temporary files that {@link runner} can enter; `TMPDIR` may be private to root. */
export function sharedTemporaryDirectory(): string {
  return [tmpdir(), '/tmp', '/var/tmp'].find((directory) => succeeds('/usr/bin/test', ['-w', directory])) ?? tmpdir();
}

/** Where files are kept: making a thousand of them, as every new server does, costs a disk most of a second. */
export type Storage = 'memory' | 'disk';

const MEMORY = '/dev/shm';
/** Containers often have 64 MB there: too little for a server. */
const MEMORY_FREE_MIN_BYTES = 4 * 2 ** 30;

/** Memory where there is plenty, else the disk. */
export function defaultStorage(): Storage {
  if (!existsSync(MEMORY)) return 'disk';
  const { bavail, bsize } = statfsSync(MEMORY);
  return bavail * bsize >= MEMORY_FREE_MIN_BYTES && freemem() >= MEMORY_FREE_MIN_BYTES ? 'memory' : 'disk';
}

/** A new empty directory, owned by {@link runner}. */
export function makeOwnedDirectory(prefix: string, storage: Storage = 'disk'): string {
  const directory = mkdtempSync(join(storage === 'memory' ? MEMORY : sharedTemporaryDirectory(), prefix));
  giveAway(directory);
  return directory;
}

export function giveAway(path: string): void {
  if (runner.uid !== undefined && runner.gid !== undefined) chownSync(path, runner.uid, runner.gid);
}

function findBinaries(version: PostgresVersion): Binaries {
  const root = packageDirectory(version);
  const release: string = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  hydrateSymlinks(root);
  const directory = join(root, 'native');
  if (runs(directory)) return { version, release, directory };
  return { version, release, directory: reachableCopy(directory, release) };
}

function packageDirectory(version: PostgresVersion): string {
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve(`postgres${version}`))));
  } catch (cause) {
    throw new Error(`PostgreSQL ${version} is not installed: run \`npm ci\` (Linux on x64 only)`, { cause });
  }
}

/** npm packages hold no links: the package lists them and makes them after its installation, unless scripts are off. */
function hydrateSymlinks(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: readonly { source: string; target: string }[] = JSON.parse(readFileSync(list, 'utf8'));
  for (const { source, target } of links) {
    if (!existsSync(join(root, target))) makeLink(basename(source), join(root, target));
  }
}

function makeLink(source: string, path: string): void {
  try {
    symlinkSync(source, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
}

const runs = (directory: string): boolean =>
  ['postgres', 'initdb'].every((program) => succeeds(join(directory, 'bin', program), ['--version'])) &&
  succeeds('/usr/bin/test', ['-r', join(directory, 'share', 'postgresql', 'postgresql.conf.sample')]);

const succeeds = (program: string, args: readonly string[]): boolean =>
  spawnSync(program, args, { ...runner, cwd: '/', stdio: 'ignore' }).status === 0;

function reachableCopy(directory: string, release: string): string {
  const target = join(sharedTemporaryDirectory(), `speil-test-binaries-${release}-${process.getuid?.() ?? 0}`);
  if (existsSync(target)) return ownedBy(process.getuid?.() ?? 0, target);
  const unfinished = mkdtempSync(`${target}.`);
  cpSync(directory, unfinished, { recursive: true, verbatimSymlinks: true });
  execFileSync('chmod', ['-R', 'a+rX', unfinished]);
  chmodSync(unfinished, 0o755);
  if (!runs(unfinished)) throw new Error(`the programs of PostgreSQL ${release} do not run on this machine`);
  return moveIntoPlace(unfinished, target);
}

/** The directory, unless somebody else could have put it there. */
export function ownedBy(uid: number, directory: string): string {
  if (statSync(directory).uid === uid) return directory;
  throw new Error(`${directory} belongs to someone else: remove it and try again`);
}

/** Gives a finished directory its name; where another process was faster, theirs is used. */
export function moveIntoPlace(finished: string, target: string): string {
  try {
    renameSync(finished, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
    rmSync(finished, { recursive: true, force: true });
  }
  return target;
}
