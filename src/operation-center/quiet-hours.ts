import type { QuietHours } from './model.ts';

/**
 * True while the clock on the wall of the time zone stands inside the quiet hours; their last minute is the one before
 * `toMinute`. What a change to or from daylight saving skips or repeats is skipped or repeated here too. Hours that end
 * when they begin are none.
 */
export function isQuiet(hours: QuietHours | null, nowMs: number): boolean {
  if (hours === null || hours.fromMinute === hours.toMinute) return false;
  const minute = localMinute(hours.timezone, nowMs);
  const { fromMinute, toMinute } = hours;
  return fromMinute < toMinute ? minute >= fromMinute && minute < toMinute : minute >= fromMinute || minute < toMinute;
}

/** Minutes since midnight as the clock on the wall shows them. */
export function localMinute(timezone: string, nowMs: number): number {
  const parts = formatterOf(timezone).formatToParts(nowMs);
  const value = (type: 'hour' | 'minute') => Number(parts.find((part) => part.type === type)?.value ?? 0);
  return value('hour') * 60 + value('minute');
}

/** Formatters are slow to make. There are a few hundred time zones; whoever tries more makes them again. */
const FORMATTERS_MAX = 50;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timezone: string): Intl.DateTimeFormat {
  const known = formatters.get(timezone);
  if (known !== undefined) return known;
  if (formatters.size >= FORMATTERS_MAX) formatters.clear();
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  formatters.set(timezone, made);
  return made;
}
