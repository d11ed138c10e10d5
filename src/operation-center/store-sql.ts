import type { Clock, Random } from '../core/clock.ts';
import { SpeilError } from '../core/error.ts';
import type { CenterDatabase } from './database.ts';
import type { Secrets } from './secrets.ts';

/** What every part of the store works with. */
export type StoreParts = {
  readonly database: CenterDatabase;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Pick<Random, 'uuid'>;
  /** Checked against the database before the first use. */
  readonly secrets: () => Promise<Secrets>;
};

/** A row as the driver hands it out: integers of 64 bits are text or numbers, instants `Date` or text, JSON is read. */
export type StoredRow = Readonly<Record<string, unknown>>;

export const nowIso = ({ clock }: StoreParts): string => new Date(clock.now()).toISOString();

export const instant = (value: unknown): string => new Date(value as Date | string).toISOString();
export const instantOrNull = (value: unknown): string | null => (value === null ? null : instant(value));
export const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

/** Rows of lists without a bound: as one JSON text they are read in a third of the time, for which nothing else happens. */
export async function queryList(
  { database }: Pick<StoreParts, 'database'>,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly StoredRow[]> {
  const [row] = await database.query(`SELECT json_agg(listed) AS list FROM (${text}) AS listed`, values);
  return (row?.['list'] ?? []) as readonly StoredRow[];
}

/** PostgreSQL's text holds neither NUL nor half a character. */
export const storable = (text: string): string => text.toWellFormed().replaceAll('\0', '\uFFFD');

/** A value for `$n::jsonb`; null stays SQL's own. */
export const json = (value: unknown): string | null =>
  value === null
    ? null
    : JSON.stringify(value, (_key, item: unknown) => (typeof item === 'string' ? storable(item) : item));

/** What of `change` is to be written, as `column = $n, …` and its values; numbering goes on after `first` values. */
export function assignments(
  change: Readonly<Record<string, unknown>>,
  first: number,
): { readonly text: string; readonly values: readonly unknown[] } {
  const entries = Object.entries(change).filter(([, value]) => value !== undefined);
  return {
    text: entries.map(([column], index) => `${column} = $${first + index + 1}`).join(', '),
    values: entries.map(([, value]) => value),
  };
}

/** Names that a message may list; longer lists are for the command that lists. */
const NAMED_MAX = 10;

/** What there is instead of what was asked for. */
export function instead(names: readonly string[], command: string): string {
  if (names.length === 0) return `There is none yet: ${command.replace(/ list.*/, ' add')} makes one.`;
  const named = names.slice(0, NAMED_MAX).join(', ');
  return names.length > NAMED_MAX ? `There are ${named} and more: ${command}` : `There are: ${named}.`;
}

export const notFound = (what: string, hint: string): SpeilError =>
  new SpeilError('NOT_FOUND', `there is no ${what}`, { hint });

export const conflict = (message: string, hint: string): SpeilError => new SpeilError('CONFLICT', message, { hint });
