import { InvalidArgumentError } from 'commander';
import { SpeilError } from '../core/error.ts';
import { BATCH_BYTES_MAX, BATCH_BYTES_MIN } from '../core/limits.ts';
import { isTenantName, TENANT_BYTES_MAX } from '../core/tenant-name.ts';
import type { SettingKind, SettingValue } from '../runtime/config.ts';
import { isBatchBytes, parseTableList } from '../task/preferences.ts';
import { formatCount } from './format.ts';

/** What `speil mirror` may be told, by flag or by `--config`. Undefined: not said. */
export type MirrorSettings = {
  readonly every?: number;
  readonly follow?: boolean;
  readonly batchSize?: number;
  readonly skipTable?: readonly string[];
  readonly onlyTable?: readonly string[];
  readonly schema?: readonly string[];
  readonly tenant?: string;
  readonly takeOver?: boolean;
  readonly wipe?: Wipe;
  readonly plan?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
};

export const WIPES = ['shadow', 'in-place'] as const;
export type Wipe = (typeof WIPES)[number];

/** The settings of a configuration file: the flags in camelCase. */
export const CONFIG_SETTINGS: Readonly<Record<string, SettingKind>> = {
  every: 'text',
  follow: 'flag',
  batchSize: 'text-or-number',
  skipTable: 'list',
  skipTables: 'list',
  onlyTable: 'list',
  onlyTables: 'list',
  schema: 'list',
  tenant: 'text',
  takeOver: 'flag',
  wipe: 'text',
  plan: 'flag',
  json: 'flag',
  quiet: 'flag',
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `20m`, `90s`, `1h`, `500ms`, `1d` in milliseconds. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const ms = Math.round(Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN));
  if (ms > 0 && Number.isSafeInteger(ms)) return ms;
  throw new InvalidArgumentError('Write a time as 20m, 90s, 1h or 500ms.');
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 1000, kb: 1000, m: 1_000_000, mb: 1_000_000 };

/** Bytes of a batch: `1000000`, `500kB`, `4MB`. */
export function parseBatchSize(text: string): number {
  const [, amount, unit = ''] = /^(\d[\d_]*)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const bytes = Number(amount?.replaceAll('_', '')) * (UNIT_BYTES[unit.toLowerCase()] ?? Number.NaN);
  if (isBatchBytes(bytes)) return bytes;
  const range = `${formatCount(BATCH_BYTES_MIN)} to ${formatCount(BATCH_BYTES_MAX)}`;
  throw new InvalidArgumentError(`Write a number of bytes from ${range}, as in 1000000 or 4MB.`);
}

/** Collects names over repeated flags and commas. */
export const collectNames = (text: string, before: readonly string[] = []): readonly string[] => {
  const names = parseTableList(text);
  if (names.length === 0) throw new InvalidArgumentError('Write one name or several with commas between them.');
  return [...before, ...names];
};

export function parseTenant(text: string): string {
  if (isTenantName(text)) return text;
  throw new InvalidArgumentError(
    `A tenant is up to 40 letters, digits, _ and - (${TENANT_BYTES_MAX} bytes), and does not begin with a digit.`,
  );
}

export function parseWipe(text: string): Wipe {
  const wipe = WIPES.find((known) => known === text);
  if (wipe !== undefined) return wipe;
  throw new InvalidArgumentError(`Write ${WIPES.join(' or ')}.`);
}

/** Settings of a configuration file, checked as flags are. Throws `USAGE` that names file and setting. */
export function settingsOfConfig(path: string, raw: Readonly<Record<string, SettingValue>>): MirrorSettings {
  const read = <T>(names: readonly string[], parse: (value: SettingValue) => T): T | undefined => {
    const name = names.find((candidate) => raw[candidate] !== undefined);
    const value = name === undefined ? undefined : raw[name];
    return name === undefined || value === undefined ? undefined : parseSetting(path, name, value, parse);
  };
  const flag = (name: string) => read([name], (value) => value === true);
  return withoutUndefined({
    every: read(['every'], (value) => parseDuration(String(value))),
    follow: flag('follow'),
    batchSize: read(['batchSize'], (value) => parseBatchSize(String(value))),
    skipTable: both(read(['skipTable'], namesOf), read(['skipTables'], namesOf)),
    onlyTable: both(read(['onlyTable'], namesOf), read(['onlyTables'], namesOf)),
    schema: read(['schema'], namesOf),
    tenant: read(['tenant'], (value) => parseTenant(String(value))),
    takeOver: flag('takeOver'),
    wipe: read(['wipe'], (value) => parseWipe(String(value))),
    plan: flag('plan'),
    json: flag('json'),
    quiet: flag('quiet'),
  });
}

/** Two spellings of one setting add up. */
export const both = (
  a: readonly string[] | undefined,
  b: readonly string[] | undefined,
): readonly string[] | undefined => (a === undefined ? b : [...a, ...(b ?? [])]);

const namesOf = (value: SettingValue): readonly string[] =>
  Array.isArray(value) ? value.map(String) : collectNames(String(value));

/** A setting of a configuration file, checked as its flag is. Throws `USAGE` that names file and setting. */
export function parseSetting<T>(path: string, name: string, value: SettingValue, parse: (value: SettingValue) => T): T {
  try {
    return parse(value);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new SpeilError('USAGE', `"${name}" in ${path} is ${JSON.stringify(value)}.`, { hint: error.message });
  }
}

/** The same without keys whose value is undefined, so that spreading it overrides nothing. */
export function withoutUndefined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Flags win over the configuration file; `--every` given beats `follow` of the file and the other way round. */
export function mergeSettings(config: MirrorSettings, flags: MirrorSettings): MirrorSettings {
  const { every, follow, ...rest } = config;
  const rhythm = flags.every === undefined && flags.follow === undefined ? withoutUndefined({ every, follow }) : {};
  const merged: MirrorSettings = { ...rest, ...rhythm, ...withoutUndefined(flags) };
  if (merged.every === undefined || merged.follow !== true) return merged;
  throw new SpeilError('USAGE', '"every" and "follow" exclude each other.', {
    hint: 'Use --every for cycles on a schedule, or --follow for changes within a second.',
  });
}
