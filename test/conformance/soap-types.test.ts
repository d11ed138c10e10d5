import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  batch,
  columnInfo,
  insert,
  type MirrorPlace,
  postgresPlace,
  SoapService,
  sqlitePlace,
  tableInfo,
} from '../support/soap-service.ts';

const PLACES: Readonly<Record<MirrorPlace['kind'], () => Promise<MirrorPlace>>> = {
  sqlite: sqlitePlace,
  postgres: async () => postgresPlace(await sharedPostgres()),
};

const pad = (value: number, width = 2) => String(value).padStart(width, '0');
const integers = (min: bigint, max: bigint) =>
  fc
    .oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max, 0n))
    .map((value) => ({ sent: `[I:${value}]`, stored: String(value) }));
const text = (maxLength: number) =>
  fc
    .string({ unit: 'grapheme', maxLength })
    .map((value) => Array.from(value.replaceAll('\0', '').toWellFormed()).slice(0, maxLength).join(''))
    .filter((value) => !/^\\+x(?:[0-9a-f]{2})*$/.test(value))
    .map((value) => ({ sent: value, stored: value }));
const moment = fc
  .tuple(
    fc.integer({ min: 1753, max: 9999 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
    fc.integer({ min: 0, max: 86_399 }),
    fc.integer({ min: 0, max: 999_999 }),
  )
  .map(([year, month, day, second, micros]) => {
    const time = `${pad(Math.floor(second / 3600))}:${pad(Math.floor(second / 60) % 60)}:${pad(second % 60)}`;
    const fraction = pad(micros, 6).replace(/0+$/, '');
    return {
      sent: `[DT:${pad(month)}/${pad(day)}/${year} ${time}.${pad(micros, 6)}0]`,
      stored: `${year}-${pad(month)}-${pad(day)} ${time}${fraction === '' ? '' : `.${fraction}`}`,
    };
  });
const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => ({
  sent: `[B:${Buffer.from(value).toString('base64')}]`,
  stored: Buffer.from(value).toString('hex'),
}));
const doubles = fc
  .oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(Number.MAX_VALUE, -Number.MAX_VALUE, 2.2250738585072014e-308, 0),
  )
  .map((value) => (Object.is(value, -0) ? 0 : value))
  .map((value) => ({ sent: `[F:${String(value).toUpperCase()}]`, stored: String(value) }));

type Sample = { readonly sent: string; readonly stored: string };

/** What the vendor sends, and values up to the bounds. */
const TYPES: Readonly<Record<string, fc.Arbitrary<Sample>>> = {
  int: integers(-(2n ** 31n), 2n ** 31n - 1n),
  smallint: integers(-(2n ** 15n), 2n ** 15n - 1n),
  bigint: integers(-(2n ** 63n), 2n ** 63n - 1n),
  datetime: moment,
  float: doubles,
  'nvarchar(2)': text(2),
  'nvarchar(254)': text(254),
  'nvarchar(max)': text(2000),
  ntext: text(500),
  'varbinary(max)': bytes,
  'decimal(38,10)': fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }).map((value) => {
    const digits = String(value < 0n ? -value : value).padStart(11, '0');
    const number = `${value < 0n ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`;
    return { sent: `[M:${number}]`, stored: number };
  }),
  uniqueidentifier: fc.uuid().map((value) => ({ sent: value.toUpperCase(), stored: value })),
};

/** How a stored value is looked at, so that both kinds say it alike. */
const looked = (kind: string, type: string): string => {
  if (type.startsWith('varbinary'))
    return kind === 'sqlite' ? 'iif(v IS NULL, NULL, lower(hex(v)))' : "encode(v, 'hex')";
  return type === 'float' ? 'v' : 'CAST(v AS text)';
};

for (const [kind, place] of Object.entries(PLACES)) {
  describe(`values come back from ${kind} as they were sent`, () => {
    test('of every type, with its bounds, and null, which is not empty', async () => {
      await using service = await SoapService.start(await place());
      for (const [type, samples] of Object.entries(TYPES)) {
        const name = type.replace(/\W+/g, '_');
        const info = tableInfo(name, columnInfo('v', type));
        await service.schema(info);
        const sent = fc.sample(samples, { numRuns: 150, seed: 4711 });
        const rows = [
          ...sent.map((sample, at) => insert(`[I:${at}]`, sample.sent)),
          insert(`[I:${sent.length}]`, null),
        ];
        const answer = await service.rows(batch(info, 1n, ...rows));
        assert.deepEqual(answer, { isSuccessful: true, errorMessage: null }, type);
        const found = await service.query(`SELECT ${looked(kind, type)} AS v FROM ${name} ORDER BY contact_id`);
        const stored = found.map(({ v }) => (v === null ? null : String(v)));
        assert.deepEqual(stored, [...sent.map((sample) => sample.stored), null], type);
      }
    });

    test('with a declared type, the nullability, a working default and the key', async () => {
      await using service = await SoapService.start(await place());
      const columns = [
        columnInfo('a', 'int', { isNullable: false, defaultValue: 'default ((0))' }),
        columnInfo('b', 'smallint', { isNullable: false, defaultValue: 'default ((-1))' }),
        columnInfo('c', 'nvarchar(40)', { isNullable: false, defaultValue: "default (N'')" }),
        columnInfo('d', 'datetime', { isNullable: false, defaultValue: "default (N'1760-01-01 00:00:00')" }),
        columnInfo('e', 'float', { defaultValue: '' }),
        columnInfo('f', 'bit', { defaultValue: 'default ((1))' }),
        columnInfo('g', 'decimal(10,2)', { defaultValue: 'default ((1.5))' }),
        columnInfo('h', 'datetime', { defaultValue: 'default (getdate())' }),
      ];
      await service.schema(tableInfo('made', ...columns));
      await service.query('INSERT INTO made (contact_id) VALUES (1)');
      const [row] = await service.query(
        'SELECT a, b, c, CAST(d AS text) AS d, e, CAST(f AS int) AS f, CAST(g AS text) AS g, h FROM made',
      );
      assert.deepEqual(Object.values(row ?? {}), [0, -1, '', '1760-01-01 00:00:00', null, 1, '1.50', null]);
      await assert.rejects(service.query('INSERT INTO made (contact_id) VALUES (1)'), /unique|UNIQUE/);
      await assert.rejects(service.query('INSERT INTO made (contact_id, c) VALUES (2, NULL)'), /null|NULL/);
      await service.query('INSERT INTO made (contact_id, e) VALUES (3, NULL)');
      assert.ok(service.notices.some(({ message }) => /made: column h: its default is left out/.test(message)));
    });

    test('with seven digits of a second, and texts that the type cannot hold, by widening the column', async () => {
      await using service = await SoapService.start(await place());
      const info = tableInfo('odd', columnInfo('at', 'datetime'), columnInfo('name', 'nvarchar(3)'));
      await service.schema(info);
      await service.rows(batch(info, 1n, insert('[I:1]', '[DT:12/31/2020 23:59:59.1200000]', 'abc')));
      const rows = [
        insert('[I:2]', '[DT:12/31/2020 23:59:59.1234567]', '😀😀😀'),
        insert('[I:3]', '[DT:12/31/2020 00:00:00.0000000]', 'abcd'),
      ];
      assert.equal((await service.rows(batch(info, 2n, ...rows))).isSuccessful, true);
      assert.equal((await service.rows(batch(info, 3n, insert('[I:4]', null, 'a\0b')))).isSuccessful, true);
      const found = await service.query('SELECT CAST(at AS text) AS at, name FROM odd ORDER BY contact_id');
      const [, , , nul] = found.map(Object.values);
      assert.deepEqual(found.slice(0, 3).map(Object.values), [
        ['2020-12-31 23:59:59.12', 'abc'],
        ['2020-12-31 23:59:59.1234567', '😀😀😀'],
        ['2020-12-31 00:00:00', 'abcd'],
      ]);
      assert.deepEqual(nul, kind === 'sqlite' ? [null, 'a\0b'] : [null, '\\x610062']);
      assert.deepEqual((await service.schema(info)).mirrorLsn[0]?.lsn, 3n);
      const widened = service.notices.filter(({ message }) => /odd: column (?:at|name) is text/.test(message));
      assert.equal(widened.length, kind === 'postgres' ? 2 : 0);
    });

    test('and what is no value of a type is refused with the table and the column, and changes nothing', async () => {
      await using service = await SoapService.start(await place());
      const info = tableInfo('odd', columnInfo('n', 'int'), columnInfo('m', 'int', { isNullable: false }));
      await service.schema(info);
      assert.equal((await service.rows(batch(info, 1n, insert('[I:1]', '', '[I:1]')))).isSuccessful, true);
      for (const [row, why] of [
        [insert('[I:2]', '5', '[I:1]'), /column n came with what is no value of int/],
        [insert('[I:2]', '[I:5]', ''), /column m came with/],
        [insert('[I:2]', '[I:5]', null), /odd/],
        [insert('[I:2]', '[I:5]'), /2 values for 3 columns/],
        [insert(null, '[I:5]', '[I:5]'), /no value in its key contact_id/],
        [{ operation: 'X', columnValues: ['[I:2]', null, '[I:1]'] }, /none of I, U and D/],
        [{ operation: null, columnValues: ['[I:2]', null, '[I:1]'] }, /none of I, U and D/],
      ] as const) {
        const answer = await service.rows(batch(info, 9n, insert('[I:8]', null, '[I:8]'), row));
        assert.equal(answer.isSuccessful, false);
        assert.match(answer.errorMessage ?? '', why);
      }
      assert.deepEqual(await service.lsns(), [['odd', 1]]);
      const found = await service.query('SELECT contact_id, n, m FROM odd');
      assert.deepEqual(found.map(Object.values), [[1, null, 1]]);
    });
  });
}
