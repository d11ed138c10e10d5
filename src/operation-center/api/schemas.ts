import { z } from 'zod';
import { ERROR_CODES } from '../../core/error.ts';
import { BATCH_BYTES_MAX, BATCH_BYTES_MIN } from '../../core/limits.ts';
import { isTenantName } from '../../core/tenant-name.ts';

/** Cycles closer than this would be a follower's, not a schedule's. */
export const EVERY_MS_MIN = 10_000;
/** Longer than change tracking keeps changes: every cycle would copy everything. */
export const EVERY_MS_MAX = 6 * 24 * 3600 * 1000;
/** An RSA key of 16,384 bits as PEM has 2,900 characters. */
const PEM_CHARACTERS_MAX = 4_000;
const ADDRESS_CHARACTERS_MAX = 2_000;
/** PostgreSQL's names have 63 bytes, quoted and with a schema twice that and a little. */
const TABLE_CHARACTERS_MAX = 300;
/** More than a source of 413 tables has. */
const TABLES_MAX = 5_000;

/** Of answers: what is answered is not changed any more. */
export const list = <T extends z.ZodType>(item: T): z.ZodType<readonly z.output<T>[], readonly z.input<T>[]> =>
  z.array(item) as unknown as z.ZodType<readonly z.output<T>[], readonly z.input<T>[]>;

/** Neither NUL, which no database keeps, nor what a terminal would obey when the name is shown. */
const PRINTABLE = /^\P{Cc}*$/u;
const NOT_PRINTABLE = 'no control characters';

export const tenantName = z
  .string()
  .max(40)
  .refine(isTenantName, 'up to 40 letters, digits, _ and -, not beginning with a digit')
  .describe('Name of the tenant; its metadata table is <tenant>_mirroring.');
export const applicationName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,100}$/, 'up to 100 letters, digits, _, . and -')
  .describe('Name of the application, as its client is started with.');
export const sourceAddress = z
  .string()
  .min(1)
  .max(ADDRESS_CHARACTERS_MAX)
  .regex(PRINTABLE, NOT_PRINTABLE)
  .describe('postgres://… or sqlite:<path>, with its password. Kept encrypted, and never answered.');
const tableNames = z
  .array(z.string().trim().min(1).max(TABLE_CHARACTERS_MAX).regex(PRINTABLE, NOT_PRINTABLE))
  .max(TABLES_MAX);
export const publicKey = z
  .string()
  .max(PEM_CHARACTERS_MAX)
  .describe("The application's public key as PEM; an RSA key also as the XML that .NET writes.");
export const everyMs = z.int().min(EVERY_MS_MIN).max(EVERY_MS_MAX).describe('From cycle to cycle, in milliseconds.');

const clientUrl = z.string().max(ADDRESS_CHARACTERS_MAX).describe('https://… of the client.');
export const transport = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('http'), url: clientUrl }),
  z.strictObject({ kind: z.literal('soap'), url: clientUrl }),
  z.strictObject({ kind: z.literal('dialled') }),
]);

// What may be in a path or a query. Names that no tenant can have are looked up like others, and are not there.
export const someName = z.string().min(1).max(200).regex(PRINTABLE, NOT_PRINTABLE);
export const tenantParams = z.strictObject({ tenant: someName });
export const mirrorParams = z.strictObject({ tenant: someName, application: someName });
export const idParams = z.strictObject({ id: someName });
export const tenantQuery = z.strictObject({ tenant: someName.optional() });
export const limitOf = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback);
/** Below the 30 s after which proxies cut a request that is not answered. */
export const WAIT_SECONDS_MAX = 25;
export const waitSeconds = z.coerce
  .number()
  .min(0)
  .max(WAIT_SECONDS_MAX)
  .default(0)
  .describe('How long the answer may take while there is nothing to tell.');

export const preferences = z.object({
  batchBytes: z.int(),
  skipTables: list(z.string()),
  blockedTables: list(z.string()),
});
export const preferencesChange = z.strictObject({
  batchBytes: z.int().min(BATCH_BYTES_MIN).max(BATCH_BYTES_MAX).optional().describe('BatchSize'),
  skipTables: tableNames.optional().describe("SkipTable: the tenant's choice"),
  blockedTables: tableNames.optional().describe("BlockTable: the vendor's choice, for operators"),
});
export const resyncTables = z.strictObject({ tables: tableNames.min(1) });

export const tenant = z.object({
  name: z.string(),
  sourceDisplay: z.string().describe("The source's address without its secrets."),
  paused: z.boolean(),
  maintenance: z.boolean(),
  preferences,
  createdAt: z.iso.datetime(),
});
export const mirror = z.object({
  id: z.string(),
  tenant: z.string(),
  application: z.string(),
  publicKey: z.string(),
  transport: z.union([
    z.object({ kind: z.enum(['http', 'soap']), url: z.string() }),
    z.object({ kind: z.literal('dialled') }),
  ]),
  everyMs: z.number(),
  createdAt: z.iso.datetime(),
});

const errorReport = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  hint: z.string().nullable(),
  recovery: z.enum(['retry', 'repopulate', 'operator']),
});
const tableReport = z.object({
  table: z.string(),
  schemaChange: z.enum(['none', 'created', 'altered', 'recreated']),
  inserted: z.number(),
  updated: z.number(),
  deleted: z.number(),
  lsn: z.string().nullable(),
  repopulated: z.string().optional(),
  error: errorReport.optional(),
});
const cycleReport = z.object({
  event: z.literal('cycle'),
  status: z.enum(['completed', 'failed']),
  tables: list(tableReport),
  bytes: z.number(),
  error: errorReport.optional(),
  skipped: z.string().optional(),
  startedAt: z.string(),
  finishedAt: z.string(),
});

export const lastRun = z.object({
  id: z.string(),
  tenant: z.string(),
  application: z.string(),
  status: z.enum(['running', 'completed', 'failed', 'skipped', 'interrupted']),
  trigger: z.enum(['schedule', 'request']),
  center: z.string(),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
  bytes: z.number(),
  error: errorReport.nullable(),
});
export const runSummary = lastRun.extend({
  tables: z.number().describe('Tables that took part.'),
  failedTables: z.number(),
  inserted: z.number(),
  updated: z.number(),
  deleted: z.number(),
  skipped: z.string().nullable().describe('Why the client asked to leave this cycle out.'),
});
export const run = runSummary.extend({ report: cycleReport.nullable() });

export const event = z.object({
  id: z.number(),
  at: z.iso.datetime(),
  kind: z.enum(['information', 'warning', 'error']),
  tenant: z.string().nullable().describe('Null: of the whole center.'),
  application: z.string().nullable(),
  runId: z.string().nullable(),
  message: z.string(),
  hint: z.string().nullable(),
});

export const failure = z
  .object({ code: z.enum(ERROR_CODES), message: z.string(), hint: z.string().nullable().describe('What to do.') })
  .describe('The request failed.');

/** The answers of a route: its own, and a failure for everything else. */
export const answers = <T extends Readonly<Record<number, z.ZodType>>>(own: T): T & { readonly '4xx': z.ZodType } => ({
  ...own,
  '4xx': failure,
  '5xx': failure,
});
export const nothing = z.undefined().describe('Done.');

export type TenantAnswer = z.output<typeof tenant>;
export type MirrorAnswer = z.output<typeof mirror>;
export type RunSummaryAnswer = z.output<typeof runSummary>;
export type RunAnswer = z.output<typeof run>;
export type EventAnswer = z.output<typeof event>;
export type FailureAnswer = z.output<typeof failure>;
