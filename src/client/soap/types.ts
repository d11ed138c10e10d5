/** What a SQL Server type is for the mirror. */
export type ColumnType = {
  /** How values of it are written in the contract. */
  readonly kind: ValueKind;
  /** Canonical type of the mirror's column. */
  readonly type: string;
  /** Smallest and largest number that it holds; null where that is no question. */
  readonly range: readonly [bigint, bigint] | null;
  /** Digits before and after the decimal point of an exact number; null for all others. */
  readonly digits: readonly [whole: number, fraction: number] | null;
};

export type ValueKind =
  | 'integer'
  | 'boolean'
  | 'float'
  | 'exact'
  | 'date-time'
  | 'date'
  | 'time'
  | 'uuid'
  | 'binary'
  | 'text';

const plain = (kind: ValueKind, type: string): ColumnType => ({ kind, type, range: null, digits: null });

const integer = (type: string, min: bigint, max: bigint): ColumnType => ({
  kind: 'integer',
  type,
  range: [min, max],
  digits: null,
});

/** An exact number of `precision` digits, of which `scale` come after the point. */
const exact = (precision: number, scale: number): ColumnType => ({
  kind: 'exact',
  type: `numeric(${precision},${scale})`,
  range: null,
  digits: [precision - scale, scale],
});

const TEXT = plain('text', 'text');
const BINARY = plain('binary', 'bytea');
const DATE_TIME = 'timestamp without time zone';

const SIMPLE: ReadonlyMap<string, ColumnType> = new Map([
  ['bigint', integer('bigint', -(2n ** 63n), 2n ** 63n - 1n)],
  ['int', integer('integer', -(2n ** 31n), 2n ** 31n - 1n)],
  ['smallint', integer('smallint', -(2n ** 15n), 2n ** 15n - 1n)],
  ['tinyint', integer('smallint', 0n, 255n)],
  ['bit', plain('boolean', 'boolean')],
  ['real', plain('float', 'real')],
  ['money', exact(19, 4)],
  ['smallmoney', exact(10, 4)],
  ['datetime', plain('date-time', DATE_TIME)],
  ['smalldatetime', plain('date-time', DATE_TIME)],
  ['date', plain('date', 'date')],
  ['uniqueidentifier', plain('uuid', 'uuid')],
  ['ntext', TEXT],
  ['text', TEXT],
  ['xml', TEXT],
  ['sysname', plain('text', 'character varying(128)')],
  ['image', BINARY],
  ['rowversion', BINARY],
  ['timestamp', BINARY],
]);

/** PostgreSQL has six digits of a second, SQL Server up to seven. */
const SECOND_DIGITS = 6;
/** Bits of the mantissa up to which a float is a single one. */
const SINGLE_BITS_MAX = 24;
const PRECISION_DEFAULT = 18;

type Sized = (first: string | undefined, second: string | undefined) => ColumnType | null;

const textual: Sized = (length) =>
  length === undefined || length === 'max' ? TEXT : plain('text', `character varying(${Number(length)})`);

const timed =
  (kind: ValueKind, type: string): Sized =>
  (digits) => {
    const isLimited = digits !== undefined && Number(digits) < SECOND_DIGITS;
    return plain(kind, isLimited ? `${type}(${Number(digits)}) without time zone` : `${type} without time zone`);
  };

const SIZED: ReadonlyMap<string, Sized> = new Map<string, Sized>([
  ['char', textual],
  ['nchar', textual],
  ['varchar', textual],
  ['nvarchar', textual],
  ['binary', () => BINARY],
  ['varbinary', () => BINARY],
  ['float', (bits) => plain('float', Number(bits ?? '53') <= SINGLE_BITS_MAX ? 'real' : 'double precision')],
  ['datetime2', timed('date-time', 'timestamp')],
  ['time', timed('time', 'time')],
  ['decimal', exactSized],
  ['numeric', exactSized],
]);

function exactSized(precision: string | undefined, scale: string | undefined): ColumnType | null {
  const [digits, fraction] = [Number(precision ?? PRECISION_DEFAULT), Number(scale ?? 0)];
  return digits >= 1 && digits <= 38 && fraction <= digits ? exact(digits, fraction) : null;
}

const SPELLING = /^\s*\[?([a-z]\w*)\]?\s*(?:\(\s*(max|\d{1,5})\s*(?:,\s*(\d{1,2})\s*)?\))?\s*$/i;

/** The type that SQL Server spells so; null for one that is not known. Its values are then mirrored as their text. */
export function columnType(declared: string): ColumnType | null {
  const [, name = '', first, second] = SPELLING.exec(declared) ?? [];
  const known = SIMPLE.get(name.toLowerCase());
  if (known !== undefined) return known;
  return SIZED.get(name.toLowerCase())?.(first?.toLowerCase(), second) ?? null;
}

export const UNKNOWN_TYPE = TEXT;
