import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { SpeilError } from '../../core/error.ts';
import { groupOf, readText } from '../center-shell.ts';
import { EXIT_DONE } from '../exit-code.ts';
import { attempt, type CommonFlags, examples, newCommand, type Shell, withJson } from '../shell.ts';

type CreateFlags = CommonFlags & { readonly rsa?: boolean };

export const keysCommand = (shell: Shell): Command =>
  examples(
    groupOf('keys', 'Make and name the keys with which both sides prove who they are.', [
      createCommand(shell),
      showCommand(shell),
    ]),
    [
      ['speil keys create app.key', 'writes app.key, which stays here, and app.pub for the other side'],
      ['speil keys show app.pub', 'names a key, to compare it with what the other side has'],
    ],
  );

function createCommand(shell: Shell): Command {
  const command = withJson(newCommand('create', 'Make a pair of keys; what is there already is never overwritten.'))
    .argument('<file>', 'private key to write, readable for its owner only; its public half ends in .pub', parseKeyFile)
    .option('--rsa', 'an RSA key, for SuperOffice’s SOAP contract; Ed25519 without it')
    .action((file: string, flags: CreateFlags) => runCreate(shell, file, flags));
  return examples(command, [
    ['speil keys create app.key', 'writes app.key and app.pub'],
    ['speil keys create soap.key --rsa', 'the same for a client that is started with --soap'],
  ]);
}

function parseKeyFile(text: string): string {
  if (!text.endsWith('.pub')) return text;
  throw new InvalidArgumentError('Name the private key; the public one gets the same name with .pub.');
}

const publicFile = (file: string): string => `${file.replace(/\.(?:key|pem)$/, '')}.pub`;

const runCreate = (shell: Shell, file: string, flags: CreateFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { createKeyPair, keyId, readPublicKey } = await import('../../client/trust/keys.ts');
    const pub = publicFile(file);
    for (const path of [file, pub]) refuseExisting(path);
    const { privatePem, publicPem } = createKeyPair(flags.rsa === true ? 'rsa' : 'ed25519');
    write(file, privatePem, 0o600);
    write(pub, publicPem, 0o644);
    const id = keyId(readPublicKey(publicPem));
    output.event({ event: 'key-created', private: file, public: pub, keyId: id });
    output.result([
      `Made the key ${id}.`,
      `  ${file}  private: stays here, give it to nobody`,
      `  ${pub}  public: for the other side`,
    ]);
    return EXIT_DONE;
  });

function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new SpeilError('USAGE', `${path} is there already, and was left as it is.`, {
    hint: 'Name another file. Whoever replaces a key has to tell the other side.',
  });
}

const NO_FOLDER = 'Is the folder there?';
const HINTS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'This user may not write there: name a file in another folder.'],
  ['EPERM', 'This user may not write there: name a file in another folder.'],
  ['EROFS', 'Nothing can be written there: name a file in another folder.'],
  ['ENOSPC', 'The disk is full.'],
  ['ENOTDIR', 'A part of the path is a file, not a folder.'],
]);

function write(path: string, text: string, mode: number): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode });
    chmodSync(path, mode);
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new SpeilError('USAGE', `${path} cannot be written (${why}).`, { hint: HINTS.get(why) ?? NO_FOLDER, cause });
  }
}

function showCommand(shell: Shell): Command {
  const command = withJson(newCommand('show', 'Name a key by its fingerprint; the key itself is not shown.'))
    .argument('<file>', 'a private or public key, or a certificate')
    .action((file: string, flags: CommonFlags) => runShow(shell, file, flags));
  return examples(command, [['speil keys show center.pub', 'both sides must name the same']]);
}

const runShow = (shell: Shell, file: string, flags: CommonFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { keyId, kindOf } = await import('../../client/trust/keys.ts');
    const { readAnyKey } = await import('../../client/service-keys.ts');
    const { key, isPrivate } = readAnyKey(readText(file));
    const half = isPrivate ? 'private' : 'public';
    output.event({ event: 'key', file, keyId: keyId(key), kind: kindOf(key), half });
    output.result([`${keyId(key)}  ${kindOf(key)}, ${half}`]);
    return EXIT_DONE;
  });
