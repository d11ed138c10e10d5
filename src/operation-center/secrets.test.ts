import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/support/center-database.ts';
import { SpeilError } from '../core/error.ts';
import { openSecrets, type Secrets } from './secrets.ts';

const key = () => randomBytes(32).toString('base64');

const fromText = (environment: string): Secrets => openSecrets({ environment, dataFolder: '/nowhere' });

const failsWith = (work: () => unknown, code: string, ...patterns: readonly RegExp[]) =>
  assert.throws(work, (error) => {
    assert.ok(error instanceof SpeilError, String(error));
    assert.equal(error.code, code);
    for (const pattern of patterns) assert.match(`${error.message} ${error.hint}`, pattern);
    return true;
  });

test('what is sealed opens again, is never the same twice and shows nothing', () => {
  const secrets = fromText(key());
  const secret = 'postgres://ola:hemmelig@db/crm ø';
  const sealed = [secrets.seal(secret, 'a'), secrets.seal(secret, 'a')];
  assert.deepEqual(
    sealed.map((text) => secrets.open(text, 'a')),
    [secret, secret],
  );
  assert.notEqual(sealed[0], sealed[1]);
  assert.doesNotMatch(sealed.join(), /hemmelig|ola/);
  assert.equal(secrets.open(secrets.seal('', 'a'), 'a'), '');
});

test('a text that was changed anywhere is refused, and so is one of another purpose', () => {
  const secrets = fromText(key());
  const sealed = secrets.seal('hemmelig', 'source of acme');
  const [form, id, text = ''] = sealed.split('.');
  const bytes = Buffer.from(text, 'base64url');
  for (let index = 0; index < bytes.length; index++) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ 1;
    failsWith(
      () => secrets.open(`${form}.${id}.${changed.toString('base64url')}`, 'source of acme'),
      'CENTER_DATABASE_FAILED',
      /source of acme was not written there/,
    );
  }
  const short = `${form}.${id}.${bytes.subarray(0, 20).toString('base64url')}`;
  for (const broken of [short, `${sealed}.x`, sealed.replace('v1', 'v2'), '', 'null']) {
    failsWith(() => secrets.open(broken, 'source of acme'), 'CENTER_DATABASE_FAILED', /Restore it/);
  }
  failsWith(() => secrets.open(sealed, 'source of globex'), 'CENTER_DATABASE_FAILED', /source of globex/);
});

test('another key is told as such, with where the key came from', () => {
  const sealed = fromText(key()).seal('hemmelig', 'x');
  using folder = temporaryFolder();
  const file = join(folder.path, 'other.key');
  writeFileSync(file, key());
  failsWith(
    () => openSecrets({ file, dataFolder: folder.path }).open(sealed, 'x'),
    'CENTER_DATABASE_FAILED',
    /other\.key holds/,
    /share a database need the same key/,
  );
  failsWith(() => fromText(key()).open(sealed, 'x'), 'CENTER_DATABASE_FAILED', /SPEIL_CENTER_SECRET holds/);
});

test('of several keys the first one seals and each opens', () => {
  const [first, second] = [key(), key()];
  const sealed = fromText(first).seal('hemmelig', 'x');
  const both = fromText(`${second}\n${first}\n`);
  assert.equal(both.open(sealed, 'x'), 'hemmelig');
  assert.equal(both.isCurrent(sealed), false);
  const again = both.seal('hemmelig', 'x');
  assert.equal(both.isCurrent(again), true);
  assert.equal(fromText(second).open(again, 'x'), 'hemmelig');
});

test('a key is the same in base64, base64url and hex', () => {
  const bytes = randomBytes(32);
  const sealed = fromText(bytes.toString('hex')).seal('hemmelig', 'x');
  for (const form of ['base64', 'base64url'] as const) {
    assert.equal(fromText(` ${bytes.toString(form)}\n`).open(sealed, 'x'), 'hemmelig');
  }
});

test('what is not a key is refused and not repeated', () => {
  const words = ['hemmelig', randomBytes(31).toString('base64'), randomBytes(33).toString('hex'), 'x'.repeat(20_000)];
  for (const word of words) {
    assert.throws(
      () => fromText(word),
      (error) => error instanceof SpeilError && error.code === 'USAGE' && !error.message.includes(word),
    );
  }
  failsWith(() => openSecrets({ file: '/nowhere/key', dataFolder: '/' }), 'FILE_MISSING', /ENOENT/, /openssl rand/);
});

test('without a key one is made, once, and for its owner alone', () => {
  using folder = temporaryFolder();
  const dataFolder = join(folder.path, 'center');
  const sealed = openSecrets({ dataFolder }).seal('hemmelig', 'x');
  const path = join(dataFolder, 'secret.key');
  const text = readFileSync(path, 'utf8');
  assert.equal(Buffer.from(text, 'base64').length, 32);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(openSecrets({ dataFolder, environment: '  ' }).open(sealed, 'x'), 'hemmelig');
  assert.equal(readFileSync(path, 'utf8'), text);
  assert.deepEqual(readdirSync(dataFolder), ['secret.key']);
});
