import assert from 'node:assert/strict';
import { test } from 'node:test';
import { between, type CatalogueType, name, quote, typesOf, versioned } from './catalogue-types.ts';
import { copiedIn, errorsOf, fromPostgres, Mirroring, tableOf, testPairs } from './mirroring.ts';
import { SAMPLES } from './type-samples.ts';

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

testPairs(
  'every type of the catalogue, value by value, copied, changed and deleted',
  async (m) => {
    const types = await typesOf(m);
    const forgotten = types.filter(({ type }) => SAMPLES[type] === undefined).map(({ type }) => type);
    assert.deepEqual(forgotten, [], 'types without samples');
    await m.source.sql(types.map(tableSql).join('\n'));
    await m.follow();
    await m.source.sql(
      types
        .map(
          ({
            type,
          }) => `UPDATE ${name(`of ${type}`)} SET id = id + 1000 WHERE id % 2 = 1; DELETE FROM ${name(`of ${type}`)} WHERE id = 2;
    UPDATE ${name(`of ${type}`)} SET v = v;`,
        )
        .join('\n'),
    );
    const cycle = await m.follow();
    assert.deepEqual(copiedIn(cycle), []);
  },
  versioned,
);

testPairs(
  'types with modifiers, domains, enums, composite types and ranges of the user’s',
  async (m) => {
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
    const types = await m.mirror.sql(
      `SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0`,
    );
    const typeOf = new Map(types.map((row) => [row['attname'], row['type']]));
    const wanted = {
      c: 'character(3)',
      n: 'numeric(10,2)',
      ids: 'interval day to second(2)',
      vca: 'character varying(3)[]',
      d: 'character varying(5)',
      dl: 'integer[]',
      e: 'text',
      ea: 'text[]',
      p: 'text',
    };
    for (const [column, type] of Object.entries(wanted)) assert.equal(typeOf.get(column), type, column);
  },
  fromPostgres,
);

testPairs(
  'large values, compressed and out of line',
  async (m) => {
    await m.source.sql(
      `CREATE TABLE t (id int PRIMARY KEY, big text, raw bytea, n int); INSERT INTO t SELECT i, repeat(md5(i::text), 40000), decode(repeat(md5(i::text), 40000), 'hex'), 0 FROM generate_series(1, 4) i`,
    );
    await m.follow();
    await m.source.sql('UPDATE t SET n = 1; UPDATE t SET big = big || chr(10) WHERE id = 2');
    await m.follow();
  },
  fromPostgres,
);

testPairs(
  'columns that 13 has no type for become text there, and a value that it cannot hold fails its table alone',
  async (m) => {
    const types = (await typesOf(m)).filter(({ type }) => type !== 'numeric' && type !== 'interval');
    await m.source.sql(types.map(tableSql).join('\n'));
    await m.source.sql(`CREATE TABLE fits (id int PRIMARY KEY, n numeric, i interval); INSERT INTO fits VALUES (1, 'NaN', '1 day');
    CREATE TABLE too_much (id int PRIMARY KEY, n numeric, i interval); INSERT INTO too_much VALUES (1, 'Infinity', 'infinity')`);
    const cycle = await m.run();
    assert.deepEqual(
      errorsOf(cycle).filter((error) => !error.startsWith('too_much: VALUE_REFUSED: ')),
      [],
    );
    assert.equal(tableOf(cycle, 'too_much').error?.code, 'VALUE_REFUSED');
    await m.source.sql(`UPDATE too_much SET n = 1, i = '1 s'`);
    await m.follow();
  },
  [between(18, 13)],
);

test('numbers of negative scale, which servers before 15 lack', async () => {
  await using m = await Mirroring.open(between(18, 13));
  await m.source.sql(
    'CREATE TABLE t (id int PRIMARY KEY, n numeric(5, -2), m numeric(2, 5)); INSERT INTO t VALUES (1, 12345, 0.00012)',
  );
  await m.follow();
});
