import { formatCount, formatDuration, formatTimeLeft, plural } from './format.ts';
import { copies, type ProgressState, type TableProgress, timeLeftMs } from './progress-state.ts';
import { Speed } from './speed.ts';
import { type Paint, padEnd, padStart, printable, textWidth, truncate } from './text.ts';

export type Screen = { readonly width: number; readonly height: number; readonly paint: Paint };

const NAME_MAX = 32;
/** Enough for `total 21/21`. */
const NAME_MIN = 11;
const BAR_MAX = 30;
const BAR_MIN = 8;
/** Columns that stand right of the bar: percentage, rows, rate and time left. */
const DETAILS = 57;

/** The screen while a cycle runs: a bar for each table that is worked on, the last finished ones, and the total. */
export function renderProgress(state: ProgressState, screen: Screen, nowMs: number): readonly string[] {
  const tables = visibleTables(state, Math.max(1, screen.height - 3));
  const names = tables.map((table) => textWidth(printable(table.table)));
  const name = Math.max(NAME_MIN, Math.min(NAME_MAX, Math.floor(screen.width / 3), ...[Math.max(0, ...names)]));
  const bar = Math.max(BAR_MIN, Math.min(BAR_MAX, screen.width - name - DETAILS));
  const lines = tables.map((table) => tableLine(table, { name, bar }, screen.paint, nowMs));
  const total = totalLine(state, { name, bar }, screen.paint, nowMs);
  return [...lines, total].map((line) => fit(line, screen.width - 1));
}

/** The state in one line, for where lines cannot be rewritten. */
export function describeProgress(state: ProgressState): string {
  const copied = copies(state);
  const parts = copied.length === 0 ? changesInWords(state) : copiesInWords(state, copied);
  return [...parts, ...rateInWords(state)].join(', ');
}

/** One line for a table whose copy is complete. */
export const describeCopied = (table: TableProgress): string =>
  `${printable(table.table)}: copied ${plural(table.rows, 'row')} in ${formatDuration(table.finishedMs - table.startedMs)}`;

type Widths = { readonly name: number; readonly bar: number };

function visibleTables(state: ProgressState, count: number): readonly TableProgress[] {
  const all = [...state.tables.values()];
  const running = all.filter((table) => table.phase === 'copying' || isChanging(table)).slice(0, count);
  const finished = all
    .filter((table) => table.phase === 'copied' || table.phase === 'failed')
    .sort((a, b) => a.finishedMs - b.finishedMs);
  return [...finished.slice(Math.max(0, finished.length - (count - running.length))), ...running];
}

const isChanging = (table: TableProgress): boolean => table.phase === 'changing' && table.changedRows > 0;

function tableLine(table: TableProgress, widths: Widths, paint: Paint, nowMs: number): string {
  const name = padEnd(truncate(printable(table.table), widths.name), widths.name);
  if (table.phase === 'failed') return `${name} ${paint('red', 'failed')}`;
  if (table.phase === 'changing') return `${name} ${plural(table.changedRows, 'change')}`;
  const bar = drawBar(table.percent, widths.bar, paint);
  const spentMs = (table.phase === 'copied' ? table.finishedMs : nowMs) - table.startedMs;
  return `${name} ${bar} ${percentOf(table.percent)}  ${rowsOf(table)}  ${formatDuration(spentMs)}`;
}

function totalLine(state: ProgressState, widths: Widths, paint: Paint, nowMs: number): string {
  const copied = copies(state);
  if (copied.length === 0) return describeProgress(state);
  const done = copied.filter((table) => table.phase === 'copied').length;
  const label = padEnd(`total ${done}/${copied.length}`, widths.name);
  const bar = drawBar(state.percent, widths.bar, paint);
  const rows = padStart(formatCount(sum(copied, 'rows')), 11);
  const words = [`${rows} rows`, ...rateInWords(state)];
  if (done === copied.length) words.push(formatDuration(nowMs - state.startedMs));
  return `${paint('bold', label)} ${bar} ${percentOf(state.percent)}  ${words.join(', ')}`;
}

/** Full cells are exactly the percentage, rounded down, so that a full bar is a complete copy. */
function drawBar(percent: number, width: number, paint: Paint): string {
  const full = Math.floor((percent * width) / 100);
  return paint(percent === 100 ? 'green' : 'cyan', '█'.repeat(full)) + paint('dim', '░'.repeat(width - full));
}

const percentOf = (percent: number): string => `${padStart(String(percent), 3)} %`;

function rowsOf(table: TableProgress): string {
  const rows = padStart(formatCount(table.rows), 11);
  return table.phase === 'copied' ? `${rows} rows` : `${rows} of about ${formatCount(table.expectedRows)}`;
}

function copiesInWords(state: ProgressState, copied: readonly TableProgress[]): readonly string[] {
  const done = copied.filter((table) => table.phase === 'copied').length;
  const rows = `${formatCount(sum(copied, 'rows'))} of about ${plural(sum(copied, 'expectedRows'), 'row')}`;
  return [`copying: ${done} of ${plural(copied.length, 'table')}`, `${rows} (${state.percent} %)`];
}

const changesInWords = (state: ProgressState): readonly string[] => [
  `catching up: ${plural(sum([...state.tables.values()], 'changedRows'), 'change')}`,
];

function rateInWords(state: ProgressState): readonly string[] {
  const left = timeLeftMs(state);
  const rate = `${formatCount(Speed.perSecond(state.rowSpeed))} rows/s`;
  return left === null ? [rate] : [rate, `about ${formatTimeLeft(left)} left`];
}

const sum = (tables: readonly TableProgress[], key: 'rows' | 'expectedRows' | 'changedRows'): number =>
  tables.reduce((total, table) => total + table[key], 0);

/** Too narrow a terminal loses the end of a line, and its colours rather than its shape. */
const fit = (line: string, width: number): string => {
  if (textWidth(line) <= width) return line;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that `paint` adds
  return truncate(line.replace(/\u001b\[\d+m/g, ''), width);
};
