import { schemaHash } from '../core/schema-hash.ts';
import type { ColumnSchema, TableSchema } from '../core/table.ts';
import type { AlterStep } from '../database/mirror-database.ts';

/** What has to happen to a mirror's table before it fits a schema. */
export type Adaptation =
  | { readonly kind: 'none' }
  /** Steps that keep the rows and the position. */
  | { readonly kind: 'alter'; readonly steps: readonly AlterStep[] }
  /** The table is copied again into a table of the new schema. */
  | { readonly kind: 'rebuild'; readonly reason: string };

/** Pure: from the schema that the mirror's table has to the one that the source has now. */
export function planAdaptation(held: TableSchema, next: TableSchema): Adaptation {
  if (schemaHash(held) === schemaHash(next)) return { kind: 'none' };
  const reason = reasonToRebuild(held, next);
  if (reason !== null) return { kind: 'rebuild', reason };
  return { kind: 'alter', steps: alterSteps(held, next) };
}

function reasonToRebuild(held: TableSchema, next: TableSchema): string | null {
  if (held.dialect !== next.dialect) return 'the source is another kind of database';
  if (held.identity !== next.identity) return 'the table was made anew in the source';
  if (!sameKey(held, next)) return 'its key changed';
  const pairs = pairColumns(held, next);
  const retyped = pairs.kept.find(([before, after]) => before.type !== after.type);
  if (retyped !== undefined) return `column ${retyped[1].name} is ${retyped[1].type} now`;
  const regenerated = pairs.kept.find(([before, after]) => before.generatedAs !== after.generatedAs);
  if (regenerated !== undefined) return `column ${regenerated[1].name} is computed in another way now`;
  const unfillable = pairs.added.find((column) => column.fill.kind === 'unknown');
  if (unfillable !== undefined) return `column ${unfillable.name} was added with values that only the source knows`;
  const unnumbered = next.columns.some((column) => column.id === null);
  if (unnumbered && !isPlainlyAltered(pairs, held)) return 'columns were renamed, exchanged or made anew';
  if (keepsNothing(pairs)) return 'all its columns were exchanged';
  return null;
}

const sameKey = (held: TableSchema, next: TableSchema): boolean => {
  const ids = (schema: TableSchema) =>
    schema.key.map((name) => schema.columns.find((column) => column.name === name)?.id ?? name);
  return JSON.stringify(ids(held)) === JSON.stringify(ids(next));
};

type ColumnPairs = {
  readonly kept: readonly (readonly [ColumnSchema, ColumnSchema])[];
  readonly added: readonly ColumnSchema[];
  readonly dropped: readonly ColumnSchema[];
};

/** By number where the source numbers its columns, else by name. */
function pairColumns(held: TableSchema, next: TableSchema): ColumnPairs {
  const isSame = (a: ColumnSchema, b: ColumnSchema) =>
    a.id !== null && b.id !== null ? a.id === b.id : a.name === b.name;
  const kept = next.columns.flatMap((after) => {
    const before = held.columns.find((column) => isSame(column, after));
    return before === undefined ? [] : [[before, after] as const];
  });
  return {
    kept,
    added: next.columns.filter((column) => !kept.some(([, after]) => after === column)),
    dropped: held.columns.filter((column) => !kept.some(([before]) => before === column)),
  };
}

/**
 * Without numbers a column is known by its name alone. Columns that were only added, or only dropped, leave the others
 * as they are and in their places; anything else may be a new column under an old name.
 */
function isPlainlyAltered({ kept, added, dropped }: ColumnPairs, held: TableSchema): boolean {
  if (added.length > 0 && dropped.length > 0) return false;
  const isSame = kept.every(([before, after]) => JSON.stringify(before) === JSON.stringify(after));
  const places = kept.map(([before]) => held.columns.indexOf(before));
  return isSame && places.every((place, index) => index === 0 || place > (places[index - 1] ?? 0));
}

const keepsNothing = (pairs: ColumnPairs): boolean => pairs.kept.length === 0 && pairs.dropped.length > 0;

/** Drops first, so that names are free; renames through a free name where two columns exchange theirs. */
function alterSteps(held: TableSchema, next: TableSchema): readonly AlterStep[] {
  const { kept, added, dropped } = pairColumns(held, next);
  return [
    ...dropped.map((column): AlterStep => ({ kind: 'drop-column', name: column.name })),
    ...renameSteps(kept.filter(([before, after]) => before.name !== after.name)),
    ...kept.flatMap(([before, after]) => changeSteps(before, after)),
    ...added.flatMap((column) => addSteps(column)),
  ];
}

function renameSteps(renamed: ColumnPairs['kept']): readonly AlterStep[] {
  const before = new Set(renamed.map(([column]) => column.name));
  const collides = renamed.some(([, after]) => before.has(after.name));
  const via = (index: number) => `speil_rename_${index}`;
  if (!collides)
    return renamed.map(([from, to]): AlterStep => ({ kind: 'rename-column', from: from.name, to: to.name }));
  return [
    ...renamed.map(([from], index): AlterStep => ({ kind: 'rename-column', from: from.name, to: via(index) })),
    ...renamed.map(([, to], index): AlterStep => ({ kind: 'rename-column', from: via(index), to: to.name })),
  ];
}

function changeSteps(before: ColumnSchema, after: ColumnSchema): readonly AlterStep[] {
  const steps: AlterStep[] = [];
  if (before.defaultExpression !== after.defaultExpression) steps.push({ kind: 'set-default', column: after });
  if (!before.nullable && after.nullable) steps.push({ kind: 'set-nullable', column: after });
  if (before.nullable && !after.nullable) steps.push({ kind: 'set-not-null', column: after });
  return steps;
}

function addSteps(column: ColumnSchema): readonly AlterStep[] {
  const fill = column.fill.kind === 'value' ? column.fill.text : null;
  const add: AlterStep = { kind: 'add-column', column, fill };
  return column.nullable ? [add] : [add, { kind: 'set-not-null', column }];
}
