import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32c } from './crc32c.ts';
import {
  type Binaries,
  giveAway,
  makeOwnedDirectory,
  moveIntoPlace,
  ownedBy,
  runner,
  sharedTemporaryDirectory,
} from './postgres-binaries.ts';

export const SUPERUSER = 'postgres';
/** Password of every role that the tests make, so that `auth: 'scram-sha-256'` needs no other set-up. */
export const PASSWORD = 'mirror-mirror';

/**
 * Fills `target` with a data directory as initdb makes it, with a system identifier of its own. initdb runs once for a
 * version and machine; later calls copy.
 */
export function makeDataDirectory(binaries: Binaries, target: string): void {
  copyDirectory(templateOf(binaries), target);
  giveIdentity(target);
}

/** Copies a data directory whose server does not run, owner and modes included. */
export function copyDirectory(from: string, to: string): void {
  run('cp', ['-a', `${from}/.`, to]);
}

function templateOf(binaries: Binaries): string {
  const owner = runner.uid ?? process.getuid?.() ?? 0;
  const target = join(sharedTemporaryDirectory(), `speil-test-template-${binaries.release}-${owner}`);
  if (existsSync(target)) return ownedBy(owner, target);
  return moveIntoPlace(initialize(binaries, `speil-test-template-${binaries.release}.`), target);
}

function initialize(binaries: Binaries, prefix: string): string {
  const home = makeOwnedDirectory(prefix);
  const passwordFile = makeOwnedDirectory('speil-test-password-');
  writeFileSync(join(passwordFile, 'password'), `${PASSWORD}\n`);
  const attempt = (locale: string) => initdb(binaries, home, join(passwordFile, 'password'), locale);
  try {
    if (attempt('C.UTF-8') !== null) mustBeNull(attempt('C'));
    return home;
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(passwordFile, { recursive: true, force: true });
  }
}

/** Null when it worked, else what initdb said. A failed initdb leaves its directory empty again. */
function initdb({ directory }: Binaries, target: string, passwordFile: string, locale: string): string | null {
  const args = ['-D', target, '-U', SUPERUSER, '-A', 'scram-sha-256', '--pwfile', passwordFile, '--encoding=UTF8'];
  const options = { ...runner, cwd: '/', encoding: 'utf8', env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' } } as const;
  const result = spawnSync(join(directory, 'bin', 'initdb'), [...args, `--locale=${locale}`, '--no-sync'], options);
  return result.status === 0 ? null : `${result.error?.message ?? ''}${result.stderr}${result.stdout}`;
}

function mustBeNull(failure: string | null): void {
  if (failure !== null) throw new Error(`initdb failed: ${failure}`);
}

/**
 * Servers copied from one template would all be "the same server" by their system identifier. It stands in pg_control,
 * whose checksum covers it, and in the head of each WAL segment.
 */
function giveIdentity(directory: string): void {
  const identity = randomBytes(8);
  identity.writeUInt8(identity.readUInt8(7) & 0x7f, 7);
  const control = join(directory, 'global', 'pg_control');
  writeInto(control, (bytes) => {
    const length = checkedLength(bytes);
    identity.copy(bytes, 0);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, length)), length);
  });
  for (const segment of readdirSync(join(directory, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name))) {
    writeInto(join(directory, 'pg_wal', segment), (bytes) => identity.copy(bytes, WAL_IDENTITY_OFFSET));
  }
}

/** Where `xlp_sysid` stands in XLogLongPageHeaderData. */
const WAL_IDENTITY_OFFSET = 24;

/** How many bytes pg_control's checksum covers: they differ between versions, the checksum follows them. */
function checkedLength(control: Buffer): number {
  for (let length = 200; length < 512; length += 4) {
    if (crc32c(control.subarray(0, length)) === control.readUInt32LE(length)) return length;
  }
  throw new Error('pg_control has no checksum where one is expected');
}

function writeInto(path: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  change(bytes);
  writeFileSync(path, bytes);
}

/** A self-signed certificate for 127.0.0.1 and localhost, its key `server.key` beside it. Needs openssl. */
export function makeCertificate(certificate: string): void {
  const directory = dirname(certificate);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  giveAway(directory);
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const files = ['-keyout', join(directory, 'server.key'), '-out', certificate];
  run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', ...names, ...files]);
}

function run(program: string, args: readonly string[]): void {
  const result = spawnSync(program, args, { ...runner, cwd: '/', encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${program} failed: ${result.error?.message ?? result.stderr}`);
}
