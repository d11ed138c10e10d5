/** The schema that holds what Speil puts into a source. */
export const TRACKING_SCHEMA = 'speil';
/** The comment by which a metadata table of a mirror is known, so that a mirror can be a source too. */
export const METADATA_COMMENT = 'Speil: positions of the mirrored tables';

/** Visible schemas: those asked for, or all but the system's. What stands in ours and is not ours is told, not mirrored. */
const SCHEMA_FILTER = `($1::text[] IS NULL OR n.nspname = ANY ($1::text[]))
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
    AND (n.nspname <> '${TRACKING_SCHEMA}' OR c.relname !~ '^(history|tracked|relation|bookmark|lost|change_[0-9]+)$')`;

const DEFINITION = `(SELECT md5(string_agg(a.attnum || ':' || a.xmin || ':' || a.attisdropped, ',' ORDER BY a.attnum))
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)`;

/**
 * Relations of the schemas $1. With $2 their sizes are asked of the file system, otherwise they are what the last
 * ANALYZE or VACUUM left: right enough where nothing is copied.
 */
export const RELATIONS_SQL = `
  SELECT c.oid::bigint::float8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
    c.relpersistence::text AS persistence,
    CASE WHEN c.relispartition THEN coalesce(pg_partition_root(c.oid), c.oid) ELSE c.oid END::bigint::float8 AS root_oid,
    EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') AS of_extension,
    coalesce(obj_description(c.oid, 'pg_class') = '${METADATA_COMMENT}', false) AS is_metadata,
    coalesce(pg_relation_filenode(c.oid), 0)::text AS filenode,
    CASE WHEN c.relkind IN ('r', 'p') THEN ${DEFINITION} ELSE '' END AS definition,
    CASE WHEN c.relkind <> 'r' THEN 0 WHEN $2 AND c.oid <> ALL ($3::oid[]) THEN coalesce(pg_table_size(c.oid), 0) ELSE c.relpages::bigint * 8192 END::text AS bytes,
    (SELECT md5(string_agg(i.indexrelid || ':' || i.xmin, ',' ORDER BY i.indexrelid)) FROM pg_index i
      WHERE i.indrelid = c.oid AND i.indisunique) AS keys,
    c.reltuples::float8 AS rows,
    NOT c.relispartition AND c.relkind = 'r' AND EXISTS (
      SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid) AS in_hierarchy,
    EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid) AS in_subscription
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ${SCHEMA_FILTER}
  ORDER BY n.nspname, c.relname`;

/**
 * Types of the catalogue that cannot be read back as themselves elsewhere: they name objects of their own server by
 * number, or have no input function.
 */
const LOCAL_TYPES = `'regclass', 'regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator',
  'regproc', 'regprocedure', 'regrole', 'regtype', 'aclitem', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies',
  'pg_mcv_list', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary', 'pg_ddl_command', 'gtsvector'`;

/**
 * Canonical types: a base, range or multirange type of pg_catalog is itself; a domain is its base (through domains over
 * domains); arrays likewise by their elements; everything else (enums, composites, extensions' types) is text.
 * The key is the primary key, or else the unique index with the fewest columns that is valid, total and not nullable.
 */
export const COLUMNS_SQL = `
  WITH RECURSIVE base AS (
    SELECT t.oid AS type_oid, t.oid AS base_oid, -1 AS base_typmod, t.typtype
    FROM pg_type t
    UNION ALL
    SELECT b.type_oid, t.typbasetype, t.typtypmod, u.typtype
    FROM base b JOIN pg_type t ON t.oid = b.base_oid AND t.typtype = 'd' JOIN pg_type u ON u.oid = t.typbasetype
  ), plain AS (
    SELECT b.type_oid, b.base_oid, b.base_typmod, t.typnamespace = 'pg_catalog'::regnamespace
      AND t.typtype IN ('b', 'r', 'm') AND t.typname NOT IN (${LOCAL_TYPES}) AS portable, t.typelem, t.typcategory
    FROM base b JOIN pg_type t ON t.oid = b.base_oid WHERE b.typtype <> 'd'
  ), canonical AS (
    SELECT p.type_oid, p.base_oid, p.base_typmod,
      CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 AND e.portable AND e.base_oid = t.typelem AND p.portable THEN 'itself'
        WHEN t.typcategory = 'A' AND t.typelem <> 0 AND e.portable THEN 'array of base'
        WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'array of text'
        WHEN p.portable THEN 'itself' ELSE 'text' END AS form,
      e.base_oid AS element_oid, e.base_typmod AS element_typmod
    FROM plain p JOIN pg_type t ON t.oid = p.base_oid LEFT JOIN plain e ON e.type_oid = t.typelem
  ), keys AS (
    SELECT DISTINCT ON (i.indrelid) i.indrelid, i.indkey::int2[] AS columns, i.indnkeyatts
    FROM pg_index i
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid
        AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND NOT a.attnotnull)
    ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid
  )
  SELECT c.oid::bigint::float8 AS table_oid, a.attnum::int AS id, a.attname AS name,
    a.atttypid::bigint::float8 AS type_oid, a.atttypmod AS type_modifier, format_type(a.atttypid, a.atttypmod) AS declared_type,
    CASE k.form
      WHEN 'itself' THEN format_type(k.base_oid, CASE WHEN k.base_oid = a.atttypid THEN a.atttypmod ELSE k.base_typmod END)
      WHEN 'array of base' THEN format_type(k.element_oid, k.element_typmod) || '[]'
      WHEN 'array of text' THEN 'text[]' ELSE 'text' END AS canonical_type,
    k.base_oid <> a.atttypid AS is_domain,
    a.attnotnull AS not_null,
    CASE WHEN a.attgenerated = '' AND NOT EXISTS (
        SELECT FROM pg_depend x WHERE x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid AND x.refobjid >= 16384
          AND NOT (x.refclassid = 'pg_class'::regclass AND x.refobjid = c.oid))
      AND c.oid <> ALL ($2::oid[]) THEN pg_get_expr(d.adbin, d.adrelid) END AS default_expression,
    CASE WHEN a.attgenerated <> '' AND c.oid <> ALL ($2::oid[]) THEN a.attgenerated::text || ':' || pg_get_expr(d.adbin, d.adrelid) END AS generated_as,
    a.atthasmissing AS has_missing,
    CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END AS missing,
    array_position((x.columns)[0:x.indnkeyatts - 1], a.attnum) AS key_position,
    CASE WHEN a.attcollation <> 0 AND a.attcollation <> 'pg_catalog."default"'::regcollation
      THEN quote_ident(cn.nspname) || '.' || quote_ident(l.collname) END AS collation,
    coalesce(l.collisdeterministic, true) AS deterministic
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN canonical k ON k.type_oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN keys x ON x.indrelid = c.oid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = l.collnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND ${SCHEMA_FILTER}
  ORDER BY c.oid, a.attnum`;
