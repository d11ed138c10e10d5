import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Environment } from './environment.ts';

/** As much as anyone searches through. */
export const HISTORY_LINES_MAX = 1_000;

export const historyFile = ({ variables }: Environment): string =>
  join(variables['XDG_STATE_HOME'] || join(variables['HOME'] || homedir(), '.local', 'state'), 'speil', 'sql-history');

/** Newest first. What cannot be read is no history. */
export function readHistory(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .toReversed()
      .slice(0, HISTORY_LINES_MAX);
  } catch {
    return [];
  }
}

/** For its owner alone: values stand in statements. Throws the error of the operating system. */
export function writeHistory(file: string, newestFirst: readonly string[]): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const lines = newestFirst.slice(0, HISTORY_LINES_MAX).toReversed();
  writeFileSync(`${file}.new`, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
