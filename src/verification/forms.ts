import { textFor } from '../database/postgres/tagged-rows.ts';
import type { FieldNormalizer } from '../database/postgres/verify-rows.ts';
import { escapeField } from '../database/row-text.ts';
import { type FieldForm, MISFIT } from '../database/verify-side.ts';

/**
 * How values of SQLite and of PostgreSQL become the same text. In lines that a PostgreSQL database takes part in, that
 * text is PostgreSQL's own; only floating-point numbers, which the two print differently, are spelled as JavaScript
 * does, and -0 is 0. Fields of SQLite are in format `tagged` (see `RowFormat`).
 */

/** Both sides are SQLite: storage class and value as they are. */
export const EXACT: FieldForm = { toLine: escapeField, toFields: (text) => [text] };

const misfit = (field: string): string => MISFIT + escapeField(field);

const isFloat = (type: string): boolean => type === 'real' || type === 'double precision';

const floatText = (text: string): string => (text === 'NaN' ? text : String(Number(text) + 0));

/** For a column of PostgreSQL beside one of SQLite. */
export const postgresNormalizer = (type: string): FieldNormalizer => (isFloat(type) ? floatText : null);

/** For a column of a SQLite mirror; `type` is the canonical type of the source's column. */
export function formOfTyped(type: string): FieldForm {
  switch (type) {
    case 'smallint':
    case 'integer':
    case 'bigint':
    case 'oid':
      return fitting(
        'i',
        (value) => value,
        (text) => `i${text}`,
      );
    case 'real':
    case 'double precision':
      return FLOAT;
    case 'boolean':
      return BOOLEAN;
    case 'bytea':
      return fitting(
        'b',
        (value) => `\\\\x${value}`,
        (text) => `b${text.slice(2)}`,
      );
    default:
      return fitting('t', escapeField, (text) => `t${text}`);
  }
}

/** Values of one storage class; every other one is a misfit. */
const fitting = (tag: string, toLine: (value: string) => string, toField: (text: string) => string): FieldForm => ({
  toLine: (field) => (field.charAt(0) === tag ? toLine(field.slice(1)) : misfit(field)),
  toFields: (text) => [toField(text)],
});

const FLOAT: FieldForm = {
  toLine: (field) => (field === 'tNaN' ? 'NaN' : field.charAt(0) === 'r' ? floatText(field.slice(1)) : misfit(field)),
  toFields: (text) => [text === 'NaN' ? 'tNaN' : `r${text}`],
};

const BOOLEAN: FieldForm = {
  toLine: (field) => (field === 'i1' ? 't' : field === 'i0' ? 'f' : misfit(field)),
  toFields: (text) => [text === 't' ? 'i1' : 'i0'],
};

/** For a column of a SQLite source: `type` is what the column is in the PostgreSQL mirror, `canonicalType` what it was meant to be. */
export function formOfTagged(type: string, canonicalType: string, keepApart = false): FieldForm {
  const column = { type, canonicalType, keepApart };
  const toLine = (field: string): string => {
    const text = textFor(type === 'numeric' ? { ...column, type: 'text' } : column, field);
    if (text === null || textFor(column, field) === null) return misfit(field);
    return isFloat(type) ? floatText(text) : escapeField(text);
  };
  return { toLine, toFields: (text) => fieldsFor(type, text).filter((field) => toLine(field) === lineOf(type, text)) };
}

const lineOf = (type: string, text: string): string => (isFloat(type) ? floatText(text) : escapeField(text));

/** The field that the text was made of; for a text column, where several could have been, all of them. */
function fieldsFor(type: string, text: string): readonly string[] {
  switch (type) {
    case 'bigint':
      return [`i${text}`];
    case 'boolean':
      return [text === 't' ? 'i1' : 'i0'];
    case 'double precision':
      return [`r${text}`];
    case 'numeric':
      return [isInteger64(text) ? `i${text}` : `r${text}`];
    case 'bytea':
      return [`b${text.slice(2)}`];
    default:
      return textFields(text);
  }
}

const HEX = /^\\x((?:[0-9a-f]{2})*)$/;
const ESCAPED_HEX = /^\\\\+x(?:[0-9a-f]{2})*$/;
const ESCAPED_NUMBER = /^\\+-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|Infinity)$/;
const NUMBER = /^-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|Infinity)$/;

/** Undoes the rule by which values of SQLite are spelled in a text column. */
function textFields(text: string): readonly string[] {
  const hex = HEX.exec(text)?.[1];
  if (hex !== undefined) return [`b${hex}`, `x${hex}`];
  if (ESCAPED_NUMBER.test(text)) return [`t${text.slice(1)}`, `t${text}`];
  if (ESCAPED_HEX.test(text)) return [`t${text.slice(1)}`];
  if (isInteger64(text)) return [`t${text}`, `i${text}`, `r${text}`];
  return NUMBER.test(text) ? [`t${text}`, `r${text}`] : [`t${text}`];
}

const isInteger64 = (text: string): boolean =>
  /^-?\d{1,19}$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);
