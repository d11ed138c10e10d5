import type { HranaValue } from './sql-session.ts';
import { type Paint, padEnd, padStart, printable, textWidth, truncate } from './text.ts';

/** How rows are written. `plain`: fields with tabs between them, for other programs. */
export const MODES = ['box', 'csv', 'json', 'plain'] as const;
export type Mode = (typeof MODES)[number];

/** Writes the rows of one statement as they come. */
export interface RowWriter {
  begin(columns: readonly string[]): void;
  row(values: readonly HranaValue[]): void;
  end(): void;
}

export type RowTarget = { readonly write: (text: string) => void; readonly paint: Paint };

/** `text`: values as they are, for what is one column of text. */
export function rowWriter(mode: Mode | 'text', target: RowTarget): RowWriter {
  if (mode === 'text') return new LineWriter(target, textLine, false);
  if (mode === 'box') return new BoxWriter(target);
  if (mode === 'json') return new JsonWriter(target);
  return new LineWriter(target, mode === 'csv' ? csvLine : plainLine, mode === 'csv');
}

type LineOf = (values: readonly HranaValue[]) => string;

class LineWriter implements RowWriter {
  readonly #target: RowTarget;
  readonly #lineOf: LineOf;
  readonly #hasHeading: boolean;

  constructor(target: RowTarget, lineOf: LineOf, hasHeading: boolean) {
    this.#target = target;
    this.#lineOf = lineOf;
    this.#hasHeading = hasHeading;
  }

  begin(columns: readonly string[]): void {
    if (this.#hasHeading && columns.length > 0) this.row(columns.map((value) => ({ type: 'text', value })));
  }

  row(values: readonly HranaValue[]): void {
    this.#target.write(`${this.#lineOf(values)}\n`);
  }

  end(): void {}
}

const hexOf = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

const plainLine: LineOf = (values) => values.map((value) => printable(plainText(value))).join('\t');

function plainText(value: HranaValue): string {
  if (value.type === 'null') return 'NULL';
  if (value.type === 'float') return floatText(value.value);
  return value.type === 'blob' ? `x'${hexOf(value.base64)}'` : String(value.value);
}

/** As SQLite shows it: 1.0 is no integer. */
const floatText = (value: number): string => (/^-?\d+$/.test(String(value)) ? `${value}.0` : String(value));

const textLine: LineOf = (values) =>
  values.map((value) => plainText(value).split('\n').map(printable).join('\n')).join('\n');

/** RFC 4180; NULL is an empty field, an empty text a quoted one. */
const csvLine: LineOf = (values) => values.map(csvField).join(',');

function csvField(value: HranaValue): string {
  if (value.type === 'null') return '';
  const text = plainText(value);
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One object a line. Integers keep all their digits; blobs are base64. */
class JsonWriter implements RowWriter {
  readonly #target: RowTarget;
  #names: readonly string[] = [];

  constructor(target: RowTarget) {
    this.#target = target;
  }

  begin(columns: readonly string[]): void {
    this.#names = distinct(columns);
  }

  row(values: readonly HranaValue[]): void {
    const fields = values.map((value, index) => `${JSON.stringify(this.#names[index] ?? '')}:${jsonOf(value)}`);
    this.#target.write(`{${fields.join(',')}}\n`);
  }

  end(): void {}
}

function jsonOf(value: HranaValue): string {
  if (value.type === 'null') return 'null';
  if (value.type === 'integer') return value.value;
  return JSON.stringify(value.type === 'blob' ? padded(value.base64) : value.value);
}

/** Hrana leaves the padding out; many readers want it. */
const padded = (base64: string): string => base64.padEnd(Math.ceil(base64.length / 4) * 4, '=');

/** A second `id` is `id:2`: an object would keep only one of them. */
function distinct(names: readonly string[]): readonly string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}:${count}`;
  });
}

/** Rows by which the widths of columns are judged; those after them are fitted in. */
const MEASURED_ROWS = 500;
/** Longer values are cut: who wants all of one asks for it in another mode. */
const CELL_COLUMNS_MAX = 60;
const BLOB_BYTES_SHOWN = 16;

type Cell = { readonly text: string; readonly isNumber: boolean; readonly isNull: boolean };

class BoxWriter implements RowWriter {
  readonly #target: RowTarget;
  #columns: readonly string[] = [];
  #waiting: (readonly Cell[])[] = [];
  #widths: readonly number[] | null = null;

  constructor(target: RowTarget) {
    this.#target = target;
  }

  begin(columns: readonly string[]): void {
    this.#columns = columns.map((name) => truncate(printable(name), CELL_COLUMNS_MAX));
    this.#waiting = [];
    this.#widths = null;
  }

  row(values: readonly HranaValue[]): void {
    const cells = values.map(cellOf);
    if (this.#widths !== null) this.#line(cells, this.#widths);
    else if (this.#waiting.push(cells) === MEASURED_ROWS) this.#open();
  }

  end(): void {
    if (this.#columns.length === 0) return;
    const widths = this.#widths ?? this.#open();
    this.#rule('└', '┴', '┘', widths);
  }

  #open(): readonly number[] {
    const widths = this.#columns.map((name, column) =>
      this.#waiting.reduce((width, row) => Math.max(width, textWidth(row[column]?.text ?? '')), textWidth(name)),
    );
    this.#widths = widths;
    this.#rule('┌', '┬', '┐', widths);
    const names = this.#columns.map((name, column) => this.#target.paint('bold', padEnd(name, widths[column] ?? 0)));
    this.#target.write(`│ ${names.join(' │ ')} │\n`);
    this.#rule('├', '┼', '┤', widths);
    for (const cells of this.#waiting) this.#line(cells, widths);
    this.#waiting = [];
    return widths;
  }

  #line(cells: readonly Cell[], widths: readonly number[]): void {
    const parts = cells.map(({ text, isNumber, isNull }, column) => {
      const fitted = (isNumber ? padStart : padEnd)(truncate(text, widths[column] ?? 0), widths[column] ?? 0);
      return isNull ? this.#target.paint('dim', fitted) : fitted;
    });
    this.#target.write(`│ ${parts.join(' │ ')} │\n`);
  }

  #rule(left: string, between: string, right: string, widths: readonly number[]): void {
    this.#target.write(`${left}${widths.map((width) => '─'.repeat(width + 2)).join(between)}${right}\n`);
  }
}

function cellOf(value: HranaValue): Cell {
  const isNumber = value.type === 'integer' || value.type === 'float';
  const text = value.type === 'blob' ? shownBlob(value.base64) : plainText(value);
  return { text: truncate(printable(text), CELL_COLUMNS_MAX), isNumber, isNull: value.type === 'null' };
}

function shownBlob(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length <= BLOB_BYTES_SHOWN) return `x'${bytes.toString('hex')}'`;
  return `x'${bytes.subarray(0, BLOB_BYTES_SHOWN).toString('hex')}…' ${bytes.length} bytes`;
}
