import { BATCH_BYTES_DEFAULT } from '../../core/limits.ts';
import type { RowBytes } from '../../core/row-batch.ts';
import { cutAtRows } from '../row-chunks.ts';
import { countRows, unescapeField } from '../row-text.ts';
import type { RowDigest, RowLines, VerifiedRows } from '../verify-side.ts';
import { type BucketSet, BucketSums } from '../verify-sums.ts';
import type { PostgresConnection } from './connection.ts';
import { ident, literal, textOf } from './sql.ts';

/** A column as `verify` reads it; `asText`: as a key it is compared as text. */
export type VerifyColumn = { readonly name: string; readonly type: string; readonly asText: boolean };

/** A table in the snapshot of the connection's transaction. */
export type VerifyTable = {
  readonly connection: PostgresConnection;
  /** What stands after FROM: the name, with ONLY where it is not partitioned. */
  readonly from: string;
  /** The columns of the key first. */
  readonly columns: readonly VerifyColumn[];
  /** 0 for a table without a key. */
  readonly keyCount: number;
};

/** Makes the text of a field comparable; null where it is so already. */
export type FieldNormalizer = ((text: string) => string) | null;

/** Rows are decoded in pieces of this size. */
const PIECE_BYTES = 256 * 1024;
/** Characters of a row that stand for it where there is no key. */
const PREVIEW_CHARACTERS = 200;
/** The row text of the key, and of the whole row, get hashes of different seeds: none can stand for another. */
const SEEDS = { bucket: 0, first: 1, second: 2 } as const;

const column = ({ name }: VerifyColumn): string => `t.${ident(name)}`;
const keyOf = ({ columns, keyCount }: VerifyTable): readonly VerifyColumn[] =>
  keyCount === 0 ? columns : columns.slice(0, keyCount);
/** A record's text is made of what the types' own output functions print: the same on all versions and for types that became text. */
const recordText = (columns: readonly VerifyColumn[]): string => `ROW(${columns.map(column).join(', ')})::text`;
const hashSql = (text: string, seed: number): string => `hashtextextended(${text} COLLATE "C", ${seed})`;
const bucketSql = (text: string, buckets: number): string => `(${hashSql(text, SEEDS.bucket)} & ${buckets - 1})::int`;

/** Hashes that the server computes itself: nothing but sums and the rows of differing buckets leaves it. */
export class HashedRows implements VerifiedRows {
  readonly #table: VerifyTable;

  constructor(table: VerifyTable) {
    this.#table = table;
  }

  async sums(buckets: number, onRows: (rows: number) => void): Promise<BucketSums> {
    const sums = new BucketSums(buckets);
    const rows = await this.#table.connection.query<{ b: number; n: string; h1: string; h2: string }>(
      `SELECT b, count(*)::text AS n, sum(h1)::text AS h1, sum(h2)::text AS h2
       FROM (SELECT ${bucketSql('k', buckets)} AS b, ${hashSql('r', SEEDS.first)} AS h1, ${hashSql('r', SEEDS.second)} AS h2
         FROM (${this.#texts('')}) x) y GROUP BY b`,
    );
    for (const { b, n, h1, h2 } of rows) sums.add(b, Number(n), [BigInt(h1), BigInt(h2)]);
    onRows(sums.rows);
    return sums;
  }

  async *digests(wanted: BucketSet): AsyncGenerator<readonly RowDigest[]> {
    const bitmap = `'\\x${Buffer.from(wanted.bits).toString('hex')}'::bytea`;
    const filter = ` WHERE get_bit(${bitmap}, ${bucketSql(recordText(keyOf(this.#table)), wanted.buckets)}) = 1`;
    yield* this.#read(this.#texts(filter), wanted.buckets);
  }

  async find(keys: readonly string[], buckets: number): Promise<readonly RowDigest[]> {
    return Array.fromAsync(this.#read(this.#texts(joinKeysSql(this.#table, keys)), buckets)).then((pieces) =>
      pieces.flat(),
    );
  }

  /** Key and row as text, each made once; what follows FROM can be a join or a filter. */
  #texts(rest: string): string {
    const { columns, keyCount, from } = this.#table;
    const shown = columns.slice(0, keyCount).map((key, index) => `, ${column(key)} AS k${index + 1}`);
    return `SELECT ${recordText(keyOf(this.#table))} AS k, ${recordText(columns)} AS r${shown.join('')} FROM ${from} t${rest} OFFSET 0`;
  }

  async *#read(texts: string, buckets: number): AsyncGenerator<readonly RowDigest[]> {
    const { keyCount, connection } = this.#table;
    const shown =
      keyCount === 0
        ? [`left(r, ${PREVIEW_CHARACTERS})`]
        : Array.from({ length: keyCount }, (_, index) => `k${index + 1}`);
    const sql = `SELECT ${bucketSql('k', buckets)}, ${hashSql('r', SEEDS.first)}, ${hashSql('r', SEEDS.second)}, ${shown.join(', ')} FROM (${texts}) x`;
    for await (const lines of readLines(connection, sql)) yield lines.map(toDigest);
  }
}

function toDigest(line: string): RowDigest {
  const [bucket = '', first = '', second = ''] = line.split('\t', 3);
  const key = line.slice(bucket.length + first.length + second.length + 3);
  return { key, bucket: Number(bucket), hash: [BigInt(first), BigInt(second)] };
}

/** Rows as the server prints them, for comparing with another kind of database. */
export class PostgresLines implements RowLines {
  readonly #table: VerifyTable;
  readonly #normalizers: readonly FieldNormalizer[];

  constructor(table: VerifyTable, normalizers: readonly FieldNormalizer[]) {
    this.#table = table;
    this.#normalizers = normalizers;
  }

  all(): AsyncGenerator<readonly string[]> {
    return this.#read('');
  }

  async find(keys: readonly string[]): Promise<readonly string[]> {
    return (await Array.fromAsync(this.#read(joinKeysSql(this.#table, keys)))).flat();
  }

  async *#read(rest: string): AsyncGenerator<readonly string[]> {
    const { connection, columns, from } = this.#table;
    const sql = `SELECT ${columns.map(column).join(', ')} FROM ${from} t${rest}`;
    for await (const lines of readLines(connection, sql)) yield normalizeLines(lines, this.#normalizers);
  }
}

/** Only those fields are touched that have a normalizer. */
export function normalizeLines(lines: readonly string[], normalizers: readonly FieldNormalizer[]): readonly string[] {
  if (normalizers.every((normalize) => normalize === null)) return lines;
  return lines.map((line) => {
    const fields = line.split('\t');
    return fields.map((field, index) => (field === '\\N' ? field : (normalizers[index]?.(field) ?? field))).join('\t');
  });
}

/** The result as lines of row text, in pieces. */
export async function* readLines(connection: PostgresConnection, sql: string): AsyncGenerator<readonly string[]> {
  for await (const piece of cutAtRows(connection.copyOut(`COPY (${sql}) TO STDOUT`), PIECE_BYTES)) {
    yield piece.toString('utf8', 0, piece.length - 1).split('\n');
  }
}

/** The rows with these keys as upserts, columns as in `names`. */
export async function* upsertsOf(
  table: VerifyTable,
  names: readonly string[],
  keys: readonly string[],
): AsyncGenerator<RowBytes> {
  const columns = names.map((name) => `t.${ident(name)}`).join(', ');
  const sql = `COPY (SELECT 'U', ${columns} FROM ${table.from} t${joinKeysSql(table, keys)}) TO STDOUT`;
  for await (const rows of cutAtRows(table.connection.copyOut(sql), BATCH_BYTES_DEFAULT)) {
    yield { rows, rowCount: countRows(rows), format: 'typed' };
  }
}

/**
 * Joins the rows that have one of these keys. Keys that the type takes for equal, however they are spelled, are one.
 * `keys` are fields of row text with tabs between them.
 */
function joinKeysSql({ columns, keyCount }: VerifyTable, keys: readonly string[]): string {
  const key = columns.slice(0, keyCount);
  const fields = keys.map((line) => line.split('\t'));
  const arrays = key.map(
    (_, index) =>
      `ARRAY[${fields.map((field) => literal(unescapeField(field[index] ?? '') ?? '')).join(', ')}]::text[]`,
  );
  const names = key.map((_, index) => `c${index + 1}`);
  const typed = key.map(
    ({ type, asText }, index) => `c${index + 1}${asText ? ' COLLATE "C"' : `::${type}`} AS c${index + 1}`,
  );
  const equal = key.map((part, index) => `${part.asText ? textOf(column(part)) : column(part)} = k.c${index + 1}`);
  return ` JOIN (SELECT DISTINCT ${typed.join(', ')} FROM unnest(${arrays.join(', ')}) u (${names.join(', ')})) k ON ${equal.join(' AND ')}`;
}
