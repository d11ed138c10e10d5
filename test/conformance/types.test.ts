import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copiedIn, errorsOf, fromPostgres, Mirroring, type Pair, tableOf, testPairs } from './mirroring.ts';
import { SAMPLES, samplesOf } from './type-samples.ts';

const between = (source: 13 | 18, mirror: 13 | 18): Pair => ({
  name: `postgres ${source}→${mirror}`,
  source: 'postgres',
  mirror: 'postgres',
  versions: { source, mirror },
});
const from13: Pair = { name: 'postgres 13→sqlite', source: 'postgres', mirror: 'sqlite', versions: { source: 13, mirror: 13 } };
const versioned: readonly Pair[] = [...fromPostgres, between(13, 18), from13];

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;

type CatalogueType = { readonly type: string; readonly array: boolean; readonly ordered: boolean };

/** Every type that a column can have, but arrays, which are made from their elements. */
const TYPES_SQL = `
  SELECT t.typname AS type, t.typarray <> 0 AS array,
    EXISTS (SELECT FROM pg_opclass o JOIN pg_am a ON a.oid = o.opcmethod AND a.amname = 'btree' WHERE o.opcintype = t.oid AND o.opcdefault)
      OR t.typtype IN ('r', 'm') AS ordered
  FROM pg_type t
  WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm') AND t.typcategory <> 'A' OR t.typname IN ('int2vector', 'oidvector')
  ORDER BY 1`;

async function typesOf({ source, pair }: Mirroring) {
  const version = pair.versions?.source ?? 18;
  const types = (await source.sql(TYPES_SQL)) as readonly CatalogueType[];
  return types.map((type) => ({ ...type, values: samplesOf(type.type, version) }));
}

/** A table for each type: the value, and arrays of it in one and two dimensions, empty, and with nulls. */
function tableSql({ type, array, values }: CatalogueType & { readonly values: readonly string[] }): string {
  const cast = (value: string) => `${quote(value)}::pg_catalog.${name(type)}`;
  const list = values.length === 0 ? `NULL::pg_catalog.${name(type)}` : values.map(cast).join(', ');
  const columns = array ? `, a pg_catalog.${name(type)}[]` : '';
  const rows = values.map((value, index) => `(${index + 1}, ${cast(value)}${array ? ', NULL' : ''})`);
  const arrays = [`ARRAY[${list}]`, "'{}'", `ARRAY[ARRAY[${list}], ARRAY[${list}]]`, `ARRAY[NULL, ${list}]`];
  const arrayRows = array ? arrays.map((sql, index) => `(${100 + index}, NULL, ${sql})`) : ['(0, NULL)'];
  return `CREATE TABLE ${name(`of ${type}`)} (id int PRIMARY KEY, v pg_catalog.${name(type)}${columns});
    INSERT INTO ${name(`of ${type}`)} VALUES ${[...rows, ...arrayRows].join(', ')};`;
}

testPairs('every type of the catalogue, value by value, copied, changed and deleted', async (m) => {
  const types = await typesOf(m);
  const forgotten = types.filter(({ type }) => SAMPLES[type] === undefined).map(({ type }) => type);
  assert.deepEqual(forgotten, [], 'types without samples');
  await m.source.sql(types.map(tableSql).join('\n'));
  await m.follow();
  await m.source.sql(types.map(({ type }) => `UPDATE ${name(`of ${type}`)} SET id = id + 1000 WHERE id % 2 = 1; DELETE FROM ${name(`of ${type}`)} WHERE id = 2;
    UPDATE ${name(`of ${type}`)} SET v = v;`).join('\n'));
  const cycle = await m.follow();
  assert.deepEqual(copiedIn(cycle), []);
}, versioned);

testPairs('every type that can be a key, as one', async (m) => {
  const types = (await typesOf(m)).filter(({ ordered, values }) => ordered && values.length > 0);
  const table = ({ type }: { type: string }) => name(`by ${type}`);
  await m.source.sql(types.map((type) => `CREATE TABLE ${table(type)} (v int, k pg_catalog.${name(type.type)} PRIMARY KEY);
    INSERT INTO ${table(type)} SELECT 0, x::pg_catalog.${name(type.type)} FROM unnest(ARRAY[${type.values.map(quote).join(', ')}]) x ON CONFLICT DO NOTHING;`).join('\n'));
  await m.follow();
  await m.source.sql(types.map((type) => `UPDATE ${table(type)} SET v = 1;
    DELETE FROM ${table(type)} WHERE k = ${quote(type.values.at(-1) ?? '')}::pg_catalog.${name(type.type)};`).join('\n'));
  assert.deepEqual(copiedIn(await m.follow()), []);
}, versioned);

testPairs('keys that are equal and spelled in another way', async (m) => {
  await m.source.sql(`CREATE TABLE n (k numeric PRIMARY KEY); INSERT INTO n VALUES (1.0), (2.0); CREATE TABLE f (k float8 PRIMARY KEY); INSERT INTO f VALUES ('0');
    CREATE TABLE i (k interval PRIMARY KEY); INSERT INTO i VALUES ('30 days'), ('2 mons'); CREATE TABLE c (k bpchar PRIMARY KEY); INSERT INTO c VALUES ('x'), ('y');
    CREATE TABLE a (k numeric[] PRIMARY KEY); INSERT INTO a VALUES ('{1.0}'); CREATE TABLE j (k jsonb PRIMARY KEY); INSERT INTO j VALUES ('1.0');
    CREATE TABLE r (k numrange PRIMARY KEY); INSERT INTO r VALUES ('[1.0,2)')`);
  await m.follow();
  await m.source.sql(`UPDATE n SET k = 1.000 WHERE k = 1; DELETE FROM n WHERE k = 2; INSERT INTO n VALUES (2.00); UPDATE f SET k = '-0'; UPDATE i SET k = '1 mon' WHERE k = '30 days';
    UPDATE i SET k = '60 days' WHERE k = '60 days'; UPDATE c SET k = 'x  ' WHERE k = 'x'; UPDATE a SET k = '{1.00}'; UPDATE j SET k = '1.00'; UPDATE r SET k = '[1.00,2.0)'`);
  await m.follow();
  await m.source.sql(`DELETE FROM n; DELETE FROM f; DELETE FROM i; DELETE FROM c; DELETE FROM a; DELETE FROM j; DELETE FROM r`);
  await m.follow();
}, fromPostgres);

testPairs('types with modifiers, domains, enums, composite types and ranges of the user’s', async (m) => {
  await m.source.sql(`CREATE DOMAIN short AS varchar(5) CHECK (value <> 'bad'); CREATE DOMAIN shorter AS short NOT NULL DEFAULT 'd'; CREATE DOMAIN list AS int[];
    CREATE TYPE mood AS ENUM ('glad', 'SAD', 'with "quotes", and \\'); CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8);
    CREATE DOMAIN feeling AS mood;
    CREATE TABLE t (id int PRIMARY KEY, c char(3), vc varchar(5), n numeric(10, 2), n0 numeric(4), b bit(3), vb bit varying(5), ts timestamp(0), tz timestamptz(3), ti time(2), iv interval(1),
      iy interval year, ids interval day to second(2), f1 float(24), vca varchar(3)[], na numeric(6, 2)[], d short, dd shorter, dl list, e mood, ea mood[], p pair, pa pair[], s span, fe feeling, fea feeling[], sa short[], q "char"[], tsz timestamp(2)[]);
    INSERT INTO t VALUES (1, 'a', 'abcde', 12345678.99, 9999, '101', '10101', '2024-01-01 12:00:00.6', '2024-01-01 12:00:00.1234+02', '12:00:00.129', '1.26 s', '3 years', '1 02:03:04.567', 0.1,
      '{abc,"a b",NULL}', '{1.5,NULL}', 'dom', 'domdo', '{1,NULL,3}', 'with "quotes", and \\', '{glad,"with \\"quotes\\", and \\\\",NULL}', '(1,"x, y")', '{"(1,\\"a\\"\\"b\\")",NULL}', '[1.5,2)', 'glad', '{SAD}', '{a,b}', '{a}', '{2024-01-01 00:00:00.129}'),
      (2, '', '', -0.01, 0, '000', '', 'infinity', '-infinity', '24:00', '-1 mon', '0', '0', 'NaN', '{}', '{NaN}', '', '', '{}', 'SAD', '{}', '(,)', '{}', 'empty', 'SAD', '{}', '{}', '{}', '{}')`);
  await m.follow();
  await m.source.sql(`UPDATE t SET id = id + 10; UPDATE t SET e = 'glad', p = (5, NULL), c = 'zz'`);
  await m.follow();
  if (m.pair.mirror === 'sqlite') return;
  const types = await m.mirror.sql(`SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0`);
  const typeOf = new Map(types.map((row) => [row['attname'], row['type']]));
  const wanted = { c: 'character(3)', n: 'numeric(10,2)', ids: 'interval day to second(2)', vca: 'character varying(3)[]', d: 'character varying(5)', dl: 'integer[]', e: 'text', ea: 'text[]', p: 'text' };
  for (const [column, type] of Object.entries(wanted)) assert.equal(typeOf.get(column), type, column);
}, fromPostgres);

testPairs('enums and domains as keys, with a member that is renamed and one that is added', async (m) => {
  await m.source.sql(`CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN code AS text; CREATE TABLE e (k mood PRIMARY KEY, v int); CREATE TABLE d (k code, l mood, PRIMARY KEY (l, k));
    INSERT INTO e VALUES ('glad', 1), ('sad', 2); INSERT INTO d VALUES ('a', 'sad')`);
  await m.follow();
  await m.source.sql(`ALTER TYPE mood ADD VALUE 'so so'`);
  await m.source.sql(`INSERT INTO e VALUES ('so so', 3); DELETE FROM e WHERE k = 'glad'; UPDATE d SET k = 'b'`);
  assert.deepEqual(copiedIn(await m.follow()), []);
}, fromPostgres);

testPairs('keys whose text depends on the session that writes them', async (m) => {
  await m.source.sql(`CREATE TYPE stamped AS (at timestamptz, lasting interval, f float8); CREATE TYPE span AS RANGE (subtype = interval); CREATE SCHEMA s; CREATE TABLE s.other (id int PRIMARY KEY);
    CREATE TABLE t (k stamped PRIMARY KEY, v int); CREATE TABLE r (k span PRIMARY KEY, v int); CREATE TABLE c (k regclass PRIMARY KEY, v int);
    INSERT INTO t VALUES (('2024-01-02 03:04:05+00', '1 day 02:00', 0.1), 0); INSERT INTO r VALUES ('["1 day","2 days")', 0); INSERT INTO c VALUES ('s.other', 0)`);
  await m.follow();
  await m.source.sql(`SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -10; SET search_path = s, public;
    UPDATE t SET v = 1; UPDATE r SET v = 1; UPDATE c SET v = 1; INSERT INTO t VALUES (('2025-01-02 03:04:05+00', '1 mon', 0.3), 0)`);
  const cycle = await m.follow();
  assert.equal(tableOf(cycle, 't').updated, 1);
}, fromPostgres);

testPairs('large values, compressed and out of line', async (m) => {
  await m.source.sql(`CREATE TABLE t (id int PRIMARY KEY, big text, raw bytea, n int); INSERT INTO t SELECT i, repeat(md5(i::text), 40000), decode(repeat(md5(i::text), 40000), 'hex'), 0 FROM generate_series(1, 4) i`);
  await m.follow();
  await m.source.sql('UPDATE t SET n = 1; UPDATE t SET big = big || chr(10) WHERE id = 2');
  await m.follow();
}, fromPostgres);

testPairs('columns that 13 has no type for become text there, and a value that it cannot hold fails its table alone', async (m) => {
  const types = (await typesOf(m)).filter(({ type }) => type !== 'numeric' && type !== 'interval');
  await m.source.sql(types.map(tableSql).join('\n'));
  await m.source.sql(`CREATE TABLE fits (id int PRIMARY KEY, n numeric, i interval); INSERT INTO fits VALUES (1, 'NaN', '1 day');
    CREATE TABLE too_much (id int PRIMARY KEY, n numeric, i interval); INSERT INTO too_much VALUES (1, 'Infinity', 'infinity')`);
  const cycle = await m.run();
  assert.deepEqual(errorsOf(cycle).filter((error) => !error.startsWith('too_much: VALUE_REFUSED: ')), []);
  assert.equal(tableOf(cycle, 'too_much').error?.code, 'VALUE_REFUSED');
  await m.source.sql(`UPDATE too_much SET n = 1, i = '1 s'`);
  await m.follow();
}, [between(18, 13)]);

test('numbers of negative scale, which servers before 15 lack', async () => {
  await using m = await Mirroring.open(between(18, 13));
  await m.source.sql('CREATE TABLE t (id int PRIMARY KEY, n numeric(5, -2), m numeric(2, 5)); INSERT INTO t VALUES (1, 12345, 0.00012)');
  await m.follow();
});
