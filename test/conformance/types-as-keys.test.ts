import assert from 'node:assert/strict';
import { name, quote, typesOf, versioned } from './catalogue-types.ts';
import { copiedIn, fromPostgres, tableOf, testPairs } from './mirroring.ts';

testPairs(
  'every type that can be a key, as one',
  async (m) => {
    const types = (await typesOf(m)).filter(({ ordered, values }) => ordered && values.length > 0);
    const table = ({ type }: { type: string }) => name(`by ${type}`);
    await m.source.sql(
      types
        .map(
          (type) => `CREATE TABLE ${table(type)} (v int, k pg_catalog.${name(type.type)} PRIMARY KEY);
    INSERT INTO ${table(type)} SELECT 0, x::pg_catalog.${name(type.type)} FROM unnest(ARRAY[${type.values.map(quote).join(', ')}]) x ON CONFLICT DO NOTHING;`,
        )
        .join('\n'),
    );
    await m.follow();
    await m.source.sql(
      types
        .map(
          (type) => `UPDATE ${table(type)} SET v = 1;
    DELETE FROM ${table(type)} WHERE k = ${quote(type.values.at(-1) ?? '')}::pg_catalog.${name(type.type)};`,
        )
        .join('\n'),
    );
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  versioned,
);

testPairs(
  'keys that are equal and spelled in another way',
  async (m) => {
    await m.source.sql(`CREATE TABLE n (k numeric PRIMARY KEY); INSERT INTO n VALUES (1.0), (2.0); CREATE TABLE f (k float8 PRIMARY KEY); INSERT INTO f VALUES ('0');
    CREATE TABLE i (k interval PRIMARY KEY); INSERT INTO i VALUES ('30 days'), ('2 mons'); CREATE TABLE c (k bpchar PRIMARY KEY); INSERT INTO c VALUES ('x'), ('y');
    CREATE TABLE a (k numeric[] PRIMARY KEY); INSERT INTO a VALUES ('{1.0}'); CREATE TABLE j (k jsonb PRIMARY KEY); INSERT INTO j VALUES ('1.0');
    CREATE TABLE r (k numrange PRIMARY KEY); INSERT INTO r VALUES ('[1.0,2)')`);
    await m.follow();
    await m.source.sql(`UPDATE n SET k = 1.000 WHERE k = 1; DELETE FROM n WHERE k = 2; INSERT INTO n VALUES (2.00); UPDATE f SET k = '-0'; UPDATE i SET k = '1 mon' WHERE k = '30 days';
    UPDATE i SET k = '60 days' WHERE k = '60 days'; UPDATE c SET k = 'x  ' WHERE k = 'x'; UPDATE a SET k = '{1.00}'; UPDATE j SET k = '1.00'; UPDATE r SET k = '[1.00,2.0)'`);
    await m.follow();
    await m.source.sql(
      `DELETE FROM n; DELETE FROM f; DELETE FROM i; DELETE FROM c; DELETE FROM a; DELETE FROM j; DELETE FROM r`,
    );
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'enums and domains as keys, with a member that is renamed and one that is added',
  async (m) => {
    await m.source.sql(`CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN code AS text; CREATE TABLE e (k mood PRIMARY KEY, v int); CREATE TABLE d (k code, l mood, PRIMARY KEY (l, k));
    INSERT INTO e VALUES ('glad', 1), ('sad', 2); INSERT INTO d VALUES ('a', 'sad')`);
    await m.follow();
    await m.source.sql(`ALTER TYPE mood ADD VALUE 'so so'`);
    await m.source.sql(`INSERT INTO e VALUES ('so so', 3); DELETE FROM e WHERE k = 'glad'; UPDATE d SET k = 'b'`);
    assert.deepEqual(copiedIn(await m.follow()), []);
  },
  fromPostgres,
);

testPairs(
  'keys whose text depends on the session that writes them',
  async (m) => {
    await m.source.sql(`CREATE TYPE stamped AS (at timestamptz, lasting interval, f float8); CREATE TYPE span AS RANGE (subtype = interval); CREATE SCHEMA s; CREATE TABLE s.other (id int PRIMARY KEY);
    CREATE TABLE t (k stamped PRIMARY KEY, v int); CREATE TABLE r (k span PRIMARY KEY, v int); CREATE TABLE c (k regclass PRIMARY KEY, v int);
    INSERT INTO t VALUES (('2024-01-02 03:04:05+00', '1 day 02:00', 0.1), 0); INSERT INTO r VALUES ('["1 day","2 days")', 0); INSERT INTO c VALUES ('s.other', 0)`);
    await m.follow();
    await m.source.sql(`SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -10; SET search_path = s, public;
    UPDATE t SET v = 1; UPDATE r SET v = 1; UPDATE c SET v = 1; INSERT INTO t VALUES (('2025-01-02 03:04:05+00', '1 mon', 0.3), 0)`);
    const cycle = await m.follow();
    assert.equal(tableOf(cycle, 't').updated, 1);
  },
  fromPostgres,
);
