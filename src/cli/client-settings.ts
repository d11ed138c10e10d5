import { type Command, InvalidArgumentError } from 'commander';
import type { ClientServiceOptions } from '../client-service.ts';
import { SpeilError } from '../core/error.ts';
import { CALL_BYTES_MAX, CALL_BYTES_MIN } from '../core/limits.ts';
import { readText } from './center-shell.ts';
import { formatCount } from './format.ts';
import { loadHooks } from './hooks-file.ts';
import { parseWipe, type Wipe } from './settings.ts';
import { type CommonFlags, newCommand, withJson } from './shell.ts';

/** What both ways of serving are told. */
export type ServiceFlags = CommonFlags & {
  readonly mirror: string;
  readonly application: string;
  readonly key: readonly string[];
  readonly trust: readonly string[];
  readonly hooks?: string;
  readonly wipe?: Wipe;
  readonly callBytesMax?: number;
  readonly insecure?: boolean;
};

export const MIRROR_OPTION =
  'databases to write: postgres://… or sqlite:…, with {tenant} where the tenant’s name belongs';

export const serviceCommand = (name: string, description: string): Command =>
  withJson(newCommand(name, description))
    .requiredOption('--mirror <address>', MIRROR_OPTION)
    .requiredOption('--application <name>', 'name under which the center has this client', parseApplication)
    .requiredOption('--key <file>', 'private key of the application; with --soap an RSA key as well', collectFiles)
    .requiredOption('--trust <file>', 'public key of a center that may call; may be repeated', collectFiles)
    .option('--hooks <file>', 'module (.ts or .js) with functions that are called along the way');

export const withLimits = (command: Command): Command =>
  command
    .option('--wipe <how>', 'copy again behind the scenes (shadow) or in the table itself (in-place)', parseWipe)
    .option('--call-bytes-max <bytes>', 'largest call that is taken (default: 128 MiB)', parseCallBytes);

function parseApplication(text: string): string {
  if (text.trim() !== '') return text;
  throw new InvalidArgumentError('It is the name under which the center has this client.');
}

function collectFiles(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 1e3, kb: 1e3, m: 1e6, mb: 1e6, g: 1e9, gb: 1e9 };

/** `64MB`, `2000000`. */
export function parseCallBytes(text: string): number {
  const [, amount, unit = ''] = /^(\d[\d_]*)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = Number(amount?.replaceAll('_', '')) * (UNIT_BYTES[unit.toLowerCase()] ?? Number.NaN);
  if (bytes >= CALL_BYTES_MIN && bytes <= CALL_BYTES_MAX) return bytes;
  const range = `${formatCount(CALL_BYTES_MIN)} to ${formatCount(CALL_BYTES_MAX)}`;
  throw new InvalidArgumentError(`Write a number of bytes from ${range}, as in 64MB.`);
}

export const keyTexts = ({ key, trust }: ServiceFlags) => ({ keys: key.map(readText), trust: trust.map(readText) });

export async function serviceOptions(flags: ServiceFlags): Promise<Omit<ClientServiceOptions, 'onEvent'>> {
  return {
    ...keyTexts(flags),
    mirror: flags.mirror,
    application: flags.application,
    hooks: flags.hooks === undefined ? undefined : await loadHooks(flags.hooks),
    wipe: flags.wipe,
    callBytesMax: flags.callBytesMax,
  };
}

export type TlsFlags = { readonly tlsCert?: string; readonly tlsKey?: string };

/** Certificate and key go together. */
export function readTls({ tlsCert, tlsKey }: TlsFlags): { readonly cert: string; readonly key: string } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: readText(tlsCert), key: readText(tlsKey) };
  throw new SpeilError('USAGE', `${tlsCert === undefined ? '--tls-cert' : '--tls-key'} is missing.`, {
    hint: 'A certificate and its key go together.',
  });
}
