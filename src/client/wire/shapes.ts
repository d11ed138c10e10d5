import * as z from 'zod';
import { ERROR_CODES } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';

/** Far more than a database has; so that a list cannot be longer than what is made of it in memory. */
export const TABLES_MAX = 100_000;
/** PostgreSQL has 1,600 columns, SQLite 2,000 unless it is built otherwise. */
const COLUMNS_MAX = 4_096;
/** PostgreSQL cuts names after 63 bytes; SQLite does not. */
const NAME_MAX = 1_000;
/** Types, positions and the like. */
const TEXT_MAX = 100_000;
/** Values and expressions of the source: defaults, and the key up to which a table is copied. */
const LONG_TEXT_MAX = 16_000_000;
const NOTES_MAX = 10_000;
const LSN_MAX = 2n ** 64n - 1n;

export const Name = z.string().max(NAME_MAX);
export const Text = z.string().max(TEXT_MAX);
export const LongText = z.string().max(LONG_TEXT_MAX);
export const Count = z.int().min(0);
export const Notes = z.array(LongText).max(NOTES_MAX).readonly();

/** A decimal string: JSON has no integers of 64 bits. */
export const LsnText = z
  .string()
  .refine((text) => /^\d{1,20}$/.test(text) && BigInt(text) <= LSN_MAX)
  .transform((text) => Lsn.of(text));

const object = <S extends z.core.$ZodLooseShape>(shape: S) => z.strictObject(shape).readonly();

export const Table = object({ schema: Name.nullable(), name: Name });

export const Position = object({
  lsn: LsnText,
  token: Text,
  lineage: Text,
  bookmark: Text.nullable(),
  witness: Text.optional(),
});

const Fill = z.discriminatedUnion('kind', [
  object({ kind: z.literal('value'), text: LongText.nullable() }),
  object({ kind: z.literal('unknown') }),
]);

const Column = object({
  name: Name,
  id: z.int().nullable(),
  type: Text,
  declaredType: Text,
  nullable: z.boolean(),
  defaultExpression: LongText.nullable(),
  generatedAs: LongText.nullable(),
  fill: Fill,
});

const Schema = object({
  table: Table,
  dialect: z.enum(['postgres', 'sqlite']),
  columns: z.array(Column).max(COLUMNS_MAX).readonly(),
  key: z.array(Name).max(COLUMNS_MAX).readonly(),
  identity: Text,
});

const Counts = { inserted: Count, updated: Count, deleted: Count };

export const ErrorShape = object({
  code: z.enum(ERROR_CODES),
  message: LongText,
  hint: LongText.nullable(),
  recovery: z.enum(['retry', 'repopulate', 'operator']),
});

const State = Text;

const Phase = z.discriminatedUnion('kind', [
  object({ kind: z.literal('copy'), progress: LongText, done: z.boolean() }),
  object({ kind: z.literal('changes'), truncateFirst: z.boolean(), position: Position.nullable() }),
]);

/** A batch without its rows: `bytes` of them follow the head, batch after batch. */
const BatchHead = object({
  table: Table,
  schemaHash: Name,
  format: z.enum(['typed', 'tagged']),
  rowCount: Count,
  phase: Phase,
  bytes: Count,
});
export type BatchHead = z.output<typeof BatchHead>;

const tables = <S extends z.ZodType>(shape: S) => z.array(shape).max(TABLES_MAX).readonly();

/** The heads of the five requests. */
export const REQUEST_HEADS = {
  authenticate: object({ tenant: Name, clientState: State }),
  'table-schema': object({ clientState: State, tables: tables(Schema), leaveAlone: tables(Table) }),
  wipe: object({ clientState: State, schema: Schema, start: Position }),
  'row-data': object({ clientState: State, batches: tables(BatchHead) }),
  'replication-completed': object({ clientState: State, changedTables: tables(object({ table: Table, ...Counts })) }),
} as const;

const Copy = object({ start: Position, progress: LongText.nullable(), rows: Count, filled: z.boolean() });

const TableAnswer = object({
  table: Table,
  schemaChange: z.enum(['none', 'created', 'altered', 'recreated']),
  position: Position.nullable(),
  copy: Copy.nullable(),
  error: ErrorShape.nullable(),
  notes: Notes,
});

const RowDataResult = object({
  table: Table,
  counts: object(Counts),
  lsn: LsnText.nullable(),
  error: ErrorShape.nullable(),
  notes: Notes,
});

/** The heads of the five answers. */
export const ANSWER_HEADS = {
  authenticate: object({
    supportedInterface: z.int(),
    build: Name,
    clientState: State,
    doNotReplicate: object({ reason: LongText }).nullable(),
    held: tables(Position),
    callBytesMax: z.int().min(1).nullable(),
    notes: Notes.exactOptional(),
  }),
  'table-schema': object({ tables: tables(TableAnswer), dropped: tables(Table) }),
  wipe: object({ notes: Notes }),
  'row-data': object({ tables: tables(RowDataResult) }),
  'replication-completed': object({ notes: Notes }),
} as const;
