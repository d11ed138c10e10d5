import type { ColumnType } from './types.ts';

/** The field of a value in format `tagged`; undefined for text that is no value of the type. */
export type ValueReader = (text: string) => string | undefined;

/**
 * How values of a column are read: by its type and never by how they look, so that the text `[I:5]` stays a text. Every
 * value that is not a text carries a marker: `[I:5]`.
 */
export const valueReader = ({ kind, range, digits }: ColumnType): ValueReader => {
  switch (kind) {
    case 'integer':
      return (text) => integer(text, range);
    case 'boolean':
      return (text) => integer(text, [0n, 1n]);
    case 'float':
      return float;
    case 'exact':
      return (text) => exact(text, digits);
    case 'date-time':
      return dateTime;
    case 'date':
      return date;
    case 'time':
      return time;
    case 'uuid':
      return uuid;
    case 'binary':
      return binary;
    case 'text':
      return textField;
  }
};

const MARKED = /^\[([A-Z]{1,2}):([^\]]*)\]$/;

/** More than any value needs that is neither text nor bytes. */
const MARKED_CHARS_MAX = 100;

/** What stands behind one of the markers. */
function marked(text: string, ...markers: readonly string[]): string | undefined {
  if (text.length > MARKED_CHARS_MAX) return undefined;
  const [, marker = '', value] = MARKED.exec(text) ?? [];
  return markers.includes(marker) ? value : undefined;
}

const INTEGER = /^[+-]?\d{1,20}$/;

function integer(text: string, range: ColumnType['range']): string | undefined {
  const digits = marked(text, 'I', 'S');
  if (digits === undefined || !INTEGER.test(digits)) return undefined;
  const value = BigInt(digits.replace(/^\+/, ''));
  return range !== null && (value < range[0] || value > range[1]) ? undefined : `i${value}`;
}

const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?$/i;

function float(text: string): string | undefined {
  const digits = marked(text, 'F', 'M', 'I', 'S');
  if (digits === undefined || !FLOAT.test(digits)) return undefined;
  const value = Number(digits);
  if (!Number.isFinite(value)) return undefined;
  return `r${Object.is(value, -0) ? '-0' : value}`;
}

const EXACT = /^([+-]?)0*(\d*)(?:\.(\d*?)0*)?$/;

/** As PostgreSQL prints it: all digits that the type has after the point. */
function exact(text: string, limits: ColumnType['digits']): string | undefined {
  const digits = marked(text, 'F', 'M', 'I', 'S') ?? '';
  const [, sign, whole, fraction = ''] = EXACT.exec(digits) ?? [];
  if (whole === undefined || !/\d/.test(digits) || limits === null) return undefined;
  if (whole.length > limits[0] || fraction.length > limits[1]) return undefined;
  const padded = fraction.padEnd(limits[1], '0');
  const number = `${whole === '' ? '0' : whole}${padded === '' ? '' : `.${padded}`}`;
  return `t${sign === '-' && /[1-9]/.test(number) ? '-' : ''}${number}`;
}

const DATE = /^(\d\d)\/(\d\d)\/(\d{4})$/;
const TIME = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?$/;

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

/** `MM/dd/yyyy` as `yyyy-MM-dd`. */
function dateText(text: string): string | undefined {
  const [, month = '', day = '', year = ''] = DATE.exec(text) ?? [];
  const days = Number(month) === 2 && !isLeap(Number(year)) ? 28 : (DAYS[Number(month) - 1] ?? 0);
  const isDay = Number(year) >= 1 && Number(day) >= 1 && Number(day) <= days;
  return isDay ? `${year}-${month}-${day}` : undefined;
}

/** `HH:mm:ss.fffffff` without the zeros at its end. */
function timeText(text: string): string | undefined {
  const [, hour = '', minute = '', second = '00', fraction = ''] = TIME.exec(text) ?? [];
  if (hour === '' || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const digits = fraction.replace(/0+$/, '');
  return `${hour}:${minute}:${second}${digits === '' ? '' : `.${digits}`}`;
}

function dateTime(text: string): string | undefined {
  const day = marked(text, 'D');
  const [dayText = '', time = '00:00', more] = (day ?? marked(text, 'DT') ?? '').split(' ');
  const [on, at] = [dateText(dayText), timeText(time)];
  return on === undefined || at === undefined || more !== undefined ? undefined : `t${on} ${at}`;
}

/** A date may come as the midnight that it begins with. */
function date(text: string): string | undefined {
  const moment = dateTime(text);
  return moment?.endsWith(' 00:00:00') ? moment.slice(0, -' 00:00:00'.length) : undefined;
}

function time(text: string): string | undefined {
  const at = timeText(marked(text, 'T', 'TS') ?? '');
  return at === undefined ? undefined : `t${at}`;
}

const UUID = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i;

/** There is no marker for these. */
function uuid(text: string): string | undefined {
  const found = UUID.exec(text)?.[1];
  return found === undefined ? undefined : `t${found.toLowerCase()}`;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function binary(text: string): string | undefined {
  if (!text.startsWith('[B:') || !text.endsWith(']')) return undefined;
  const base64 = text.slice('[B:'.length, -1);
  if (base64.length % 4 !== 0 || !BASE64.test(base64)) return undefined;
  return `b${Buffer.from(base64, 'base64').toString('hex')}`;
}

/** PostgreSQL and SQL itself cannot hold a NUL in a text: such text goes as its bytes. */
const textField = (text: string): string =>
  text.includes('\0') ? `x${Buffer.from(text).toString('hex')}` : `t${text}`;
