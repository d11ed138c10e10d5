import { TableName } from '../core/table.ts';
import type { MirrorDatabase, MirroredTable } from '../database/mirror-database.ts';
import type { MissingPrivilege, SourceDatabase, SurveyedTable, TableSelection } from '../database/source-database.ts';
import { type Preferences, selectTables } from '../task/preferences.ts';
import { planAdaptation } from './adapt.ts';

/** What a cycle would do, found out without doing any of it. */
export type MirrorPlan = {
  readonly source: string;
  readonly mirror: string;
  readonly tables: readonly PlannedTable[];
  readonly excluded: readonly { readonly table: string; readonly reason: string }[];
  readonly skipped: readonly string[];
  /** Names of --skip-table and --only-table that match no table. */
  readonly unmatched: readonly string[];
  readonly missing: readonly (MissingPrivilege & { readonly where: 'source' | 'mirror' })[];
  /** Mirror copies that would be dropped. */
  readonly dropped: readonly string[];
  readonly notes: readonly string[];
};

export type PlannedTable = {
  readonly table: string;
  readonly key: readonly string[];
  readonly estimatedRows: number;
  readonly estimatedBytes: number;
  readonly work: 'copy' | 'resume-copy' | 'catch-up' | 'rebuild';
  readonly sourceDdl: readonly string[];
  readonly mirrorDdl: readonly string[];
  readonly notes: readonly string[];
  /** Columns whose values take another form in the mirror. */
  readonly forms: readonly string[];
};

export type PlanRequest = {
  readonly source: SourceDatabase;
  readonly mirror: MirrorDatabase;
  readonly selection: TableSelection;
  readonly preferences: Preferences;
  readonly signal: AbortSignal;
};

export async function planMirroring({
  source,
  mirror,
  selection,
  preferences,
  signal,
}: PlanRequest): Promise<MirrorPlan> {
  const survey = await source.survey(selection, signal);
  const chosen = selectTables(
    survey.tables.map(({ schema }) => schema.table),
    preferences,
  );
  const isIn = (tables: readonly TableName[], table: TableName) =>
    tables.some((other) => TableName.equal(other, table));
  const held = await mirror.readMetadata();
  const planned = survey.tables.filter(({ schema }) => isIn(chosen.mirrored, schema.table));
  const explanations = await whyRepopulate(source, held, signal);
  const stay = [...chosen.mirrored, ...chosen.leftAlone];
  const missing = [...survey.missing, ...planned.flatMap((table) => table.missing)];
  return {
    source: source.display,
    mirror: mirror.display,
    tables: planned.map((table) => planTable(mirror, table, held, explanations)),
    excluded: survey.excluded.map(({ table, reason }) => ({ table: TableName.toText(table), reason })),
    skipped: chosen.skipped.map(TableName.toText),
    unmatched: chosen.unmatched,
    missing: [
      ...missing.map((privilege) => ({ ...privilege, where: 'source' as const })),
      ...(await mirror.check()).map((privilege) => ({ ...privilege, where: 'mirror' as const })),
    ],
    dropped: held.filter((row) => !isIn(stay, row.table)).map((row) => TableName.toText(row.table)),
    notes: survey.notes,
  };
}

function planTable(
  mirror: MirrorDatabase,
  table: SurveyedTable,
  metadata: readonly MirroredTable[],
  explanations: ReadonlyMap<string, string>,
): PlannedTable {
  const { schema } = table;
  const name = TableName.toText(schema.table);
  const held = metadata.find((row) => TableName.equal(row.table, schema.table) && row.exists);
  const adapted = planMirrorSide(mirror, table, held);
  const explanation = held === undefined ? undefined : explanations.get(name);
  const notes = [
    ...table.notes,
    ...adapted.notes,
    ...(explanation === undefined ? [] : [`copied again: ${explanation}`]),
  ];
  return {
    table: name,
    key: schema.key,
    estimatedRows: table.estimatedRows,
    estimatedBytes: table.estimatedBytes,
    work: workOf(held, adapted.rebuild, explanation !== undefined),
    sourceDdl: table.trackingDdl,
    mirrorDdl: adapted.ddl,
    notes,
    forms: mirror.describeForms(schema),
  };
}

function workOf(held: MirroredTable | undefined, rebuild: boolean, repopulate: boolean): PlannedTable['work'] {
  if (rebuild) return 'rebuild';
  if (held === undefined || repopulate) return 'copy';
  if (held.copy !== null) return 'resume-copy';
  return held.position === null ? 'copy' : 'catch-up';
}

/** Why tables would be copied again though the mirror holds a position of them, by the table's name. */
async function whyRepopulate(
  source: SourceDatabase,
  metadata: readonly MirroredTable[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const held = metadata.flatMap((row) => {
    const position = row.copy?.start ?? row.position;
    return position === null ? [] : [{ table: row.table, position }];
  });
  const verdicts = held.length === 0 ? [] : await source.judge(held, signal);
  return new Map(
    held.flatMap(({ table }, index) => {
      const verdict = verdicts[index];
      return verdict === undefined || verdict.kind === 'continue'
        ? []
        : [[TableName.toText(table), verdict.explanation]];
    }),
  );
}

type MirrorSide = { readonly ddl: readonly string[]; readonly rebuild: boolean; readonly notes: readonly string[] };

function planMirrorSide(
  mirror: MirrorDatabase,
  { schema, tracked }: SurveyedTable,
  held: MirroredTable | undefined,
): MirrorSide {
  const target = { schema, shadow: null, widened: held?.widened ?? {} };
  if (held === undefined) return { ddl: mirror.describeCreate(target), rebuild: false, notes: [] };
  const next = tracked ? schema : { ...schema, identity: held.schema.identity };
  const adaptation = planAdaptation(held.schema, next);
  switch (adaptation.kind) {
    case 'none':
      return { ddl: [], rebuild: false, notes: [] };
    case 'alter':
      return { ddl: adaptation.steps.flatMap((step) => mirror.describeAlter(target, step)), rebuild: false, notes: [] };
    case 'rebuild':
      return { ddl: mirror.describeCreate(target), rebuild: true, notes: [`rebuilt: ${adaptation.reason}`] };
  }
}
