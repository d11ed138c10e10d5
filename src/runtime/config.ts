import { readFileSync } from 'node:fs';
import { SpeilError } from '../core/error.ts';

/** What a setting of a configuration file may be: `text-or-number` also takes a bare number, `list` one name or several. */
export type SettingKind = 'text' | 'text-or-number' | 'flag' | 'list';

export type SettingValue = string | boolean | readonly string[];

const WORDS: Readonly<Record<SettingKind, string>> = {
  text: 'a text in quotes',
  'text-or-number': 'a number or a text in quotes',
  flag: 'true or false',
  list: 'a text in quotes or a list of them',
};

/**
 * Reads a JSON object of settings. Numbers come back as text, a list's single text as it stands. Throws `FILE_MISSING`
 * when the file cannot be read and `USAGE` when it holds anything but known settings of the right kind.
 */
export function readConfig(
  path: string,
  known: Readonly<Record<string, SettingKind>>,
): Readonly<Record<string, SettingValue>> {
  const entries = Object.entries(parseObject(readText(path), path));
  return Object.fromEntries(entries.map(([name, value]) => [name, checked(path, name, value, known)]));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new SpeilError('FILE_MISSING', `The configuration file ${path} cannot be read (${why}).`, {
      hint: `Check the path after --config; it is looked up from ${process.cwd()}.`,
      cause,
    });
  }
}

function parseObject(text: string, path: string): Readonly<Record<string, unknown>> {
  const value = parseJson(text, path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new SpeilError('USAGE', `${path} does not hold a JSON object.`, { hint: EXAMPLE });
}

const EXAMPLE = 'Write for example { "every": "20m", "skipTable": ["audit_log"] }.';

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SpeilError('USAGE', `${path} is not valid JSON: ${why}`, { hint: EXAMPLE, cause });
  }
}

function checked(
  path: string,
  name: string,
  value: unknown,
  known: Readonly<Record<string, SettingKind>>,
): SettingValue {
  const kind = Object.hasOwn(known, name) ? known[name] : undefined;
  if (kind === undefined) throw unknownSetting(path, name, Object.keys(known));
  const accepted = accept(kind, value);
  if (accepted !== null) return accepted;
  throw new SpeilError('USAGE', `"${name}" in ${path} is ${JSON.stringify(value)}.`, {
    hint: `It must be ${WORDS[kind]}.`,
  });
}

function unknownSetting(path: string, name: string, known: readonly string[]): SpeilError {
  const near = nearestName(name, known);
  const hint = near === null ? `Known settings: ${known.join(', ')}.` : `Did you mean "${near}"?`;
  return new SpeilError('USAGE', `${path} has a setting "${name}" that does not exist.`, { hint });
}

function accept(kind: SettingKind, value: unknown): SettingValue | null {
  if (kind === 'flag') return typeof value === 'boolean' ? value : null;
  if (typeof value === 'string') return value;
  if (kind === 'text-or-number' && typeof value === 'number') return String(value);
  if (kind === 'list' && isTextList(value)) return value;
  return null;
}

const isTextList = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** The known name that is written most like this one; null when none is like it. Case and dashes do not count. */
export function nearestName(name: string, known: readonly string[]): string | null {
  const fold = (text: string) => text.toLowerCase().replace(/[-_ ]/g, '');
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(fold(name), fold(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.candidate : null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1];
    for (const [column, other] of [...b].entries()) {
      const replace = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replace, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
