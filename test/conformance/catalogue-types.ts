import { fromPostgres, type Mirroring, type Pair } from './mirroring.ts';
import { samplesOf } from './type-samples.ts';

export const between = (source: 13 | 18, mirror: 13 | 18): Pair => ({
  name: `postgres ${source}→${mirror}`,
  source: 'postgres',
  mirror: 'postgres',
  versions: { source, mirror },
});
const from13: Pair = {
  name: 'postgres 13→sqlite',
  source: 'postgres',
  mirror: 'sqlite',
  versions: { source: 13, mirror: 13 },
};
export const versioned: readonly Pair[] = [...fromPostgres, between(13, 18), from13];

export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
export const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;

export type CatalogueType = { readonly type: string; readonly array: boolean; readonly ordered: boolean };

/** Every type that a column can have, but arrays, which are made from their elements. */
const TYPES_SQL = `
  SELECT t.typname AS type, t.typarray <> 0 AS array,
    EXISTS (SELECT FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod AND a.amname = 'btree' WHERE o.opcintype = t.oid AND o.opcdefault)
      OR t.typtype IN ('r', 'm') AS ordered
  FROM pg_type t
  WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm') AND t.typcategory <> 'A' OR t.typname IN ('int2vector', 'oidvector')
  ORDER BY 1`;

export async function typesOf({ source, pair }: Mirroring) {
  const version = pair.versions?.source ?? 18;
  const types = (await source.sql(TYPES_SQL)) as readonly CatalogueType[];
  return types.map((type) => ({ ...type, values: samplesOf(type.type, version) }));
}
