const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const NO_WIDTH = /[\p{M}\u200b-\u200f\u2060\ufeff]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the colours that `paint` adds
const COLOR = /\u001b\[\d+m/g;

export type Paint = (color: Color, text: string) => string;
export type Color = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold';

const CODES: Readonly<Record<Color, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

export const paintWith =
  (color: boolean): Paint =>
  (name, text) =>
    color ? `\u001b[${CODES[name][0]}m${text}\u001b[${CODES[name][1]}m` : text;

/** Names and messages as they may be shown: control characters are written out, line ends too. */
export const printable = (text: string): string =>
  text.replace(CONTROL, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);

const widthOf = (character: string): number => (NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1);

/** Columns that the text takes on a terminal. */
export const textWidth = (text: string): number =>
  [...text.replace(COLOR, '')].reduce((width, character) => width + widthOf(character), 0);

/** At most `width` columns; what is cut off becomes `…`. */
export function truncate(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  for (const character of text) {
    if (textWidth(kept) + widthOf(character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

export const padEnd = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - textWidth(text)));
export const padStart = (text: string, width: number): string =>
  ' '.repeat(Math.max(0, width - textWidth(text))) + text;

/** Rows of cells as aligned lines; `right` has the numbers of the columns that are aligned to the right. */
export function alignColumns(rows: readonly (readonly string[])[], right: readonly number[] = []): readonly string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(0, ...rows.map((row) => textWidth(row[column] ?? ''))),
  );
  const cell = (text: string, column: number) =>
    (right.includes(column) ? padStart : padEnd)(text, widths[column] ?? 0);
  return rows.map((row) => row.map(cell).join('  ').trimEnd());
}
