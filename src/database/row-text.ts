/**
 * The text form of rows on their way: lines of PostgreSQL's COPY text format. A row ends with `\n`, fields are apart by a tab,
 * null is `\N`; inside a field those bytes only occur escaped, so rows and fields are found by looking at bytes alone.
 */

const ROW_END = 0x0a;
const FIELD_END = '\t';
const NULL_FIELD = '\\N';
const BYTES_PER_UNIT_MAX = 3;

/** The fields of a row, unescaped; null for `\N`. */
export type Fields = readonly (string | null)[];

const SPECIAL = /[\b\f\n\r\t\v\\]/;
const ALL_SPECIAL = /[\b\f\n\r\t\v\\]/g;

const ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};
const PLAIN: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const ESCAPED = /\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|([\s\S]))/g;

/** The text as it stands in a field. */
export const escapeField = (text: string): string =>
  SPECIAL.test(text) ? text.replace(ALL_SPECIAL, (found) => ESCAPES[found] ?? found) : text;

/** What a field stands for; null for `\N`. */
export function unescapeField(field: string): string | null {
  if (!field.includes('\\')) return field;
  if (field === NULL_FIELD) return null;
  return field.replace(ESCAPED, (_, octal: string | undefined, hex: string | undefined, other: string | undefined) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return PLAIN[other ?? ''] ?? other ?? '';
  });
}

/** Where the last complete row of the bytes ends; 0 when there is none. */
export const lastRowEnd = (bytes: Uint8Array): number => bytes.lastIndexOf(ROW_END) + 1;

/** Where the first row that ends at `from` or later ends; 0 when there is none. */
export const nextRowEnd = (bytes: Uint8Array, from: number): number => bytes.indexOf(ROW_END, from) + 1;

export function countRows(rows: Uint8Array): number {
  let count = 0;
  for (let at = nextRowEnd(rows, 0); at !== 0; at = nextRowEnd(rows, at)) count++;
  return count;
}

/** The rows one by one, unescaped. */
export function* decodeRows(rows: Uint8Array): Generator<Fields, void, undefined> {
  const bytes = asBuffer(rows);
  let start = 0;
  for (let end = nextRowEnd(rows, 0); end !== 0; end = nextRowEnd(rows, end)) {
    yield decodeRow(bytes.toString('utf8', start, end - 1));
    start = end;
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function decodeRow(line: string): Fields {
  const fields: (string | null)[] = line.split(FIELD_END);
  if (line.includes('\\')) for (let i = 0; i < fields.length; i++) fields[i] = unescapeField(fields[i] ?? '');
  return fields;
}

/** Collects rows into buffers of about `chunkBytes`; a larger row goes alone. */
export class RowEncoder {
  readonly #chunkBytes: number;
  #buffer: Buffer;
  #size = 0;
  #rowCount = 0;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#buffer = Buffer.allocUnsafe(1024);
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  get size(): number {
    return this.#size;
  }

  /** True when the rows collected so far are a chunk. */
  get isFull(): boolean {
    return this.#size >= this.#chunkBytes;
  }

  add(fields: Fields): void {
    let line = '';
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      if (i > 0) line += FIELD_END;
      line += field === null || field === undefined ? NULL_FIELD : escapeField(field);
    }
    this.#append(`${line}\n`);
  }

  /** The rows collected since the last call, which the encoder does not touch again. */
  take(): { readonly rows: Uint8Array; readonly rowCount: number } {
    const taken = { rows: this.#buffer.subarray(0, this.#size), rowCount: this.#rowCount };
    this.#buffer = Buffer.allocUnsafe(Math.max(1024, Math.min(this.#buffer.length, 2 * this.#chunkBytes)));
    this.#size = 0;
    this.#rowCount = 0;
    return taken;
  }

  #append(line: string): void {
    this.#reserve(this.#size + line.length * BYTES_PER_UNIT_MAX);
    this.#size += this.#buffer.write(line, this.#size, 'utf8');
    this.#rowCount++;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}
