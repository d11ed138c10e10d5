import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { columnType } from './types.ts';
import { valueReader } from './values.ts';

const read = (type: string, text: string): string | undefined => {
  const known = columnType(type);
  assert.ok(known, type);
  return valueReader(known)(text);
};

test('types of SQL Server are columns of the mirror', () => {
  const canonical: Readonly<Record<string, string>> = {
    int: 'integer',
    ' [Int] ': 'integer',
    smallint: 'smallint',
    tinyint: 'smallint',
    bigint: 'bigint',
    bit: 'boolean',
    datetime: 'timestamp without time zone',
    smalldatetime: 'timestamp without time zone',
    datetime2: 'timestamp without time zone',
    'datetime2(3)': 'timestamp(3) without time zone',
    'datetime2 ( 7 )': 'timestamp without time zone',
    date: 'date',
    'time(0)': 'time(0) without time zone',
    time: 'time without time zone',
    float: 'double precision',
    'float(53)': 'double precision',
    'float(24)': 'real',
    real: 'real',
    decimal: 'numeric(18,0)',
    'decimal(10, 2)': 'numeric(10,2)',
    'NUMERIC(38,38)': 'numeric(38,38)',
    money: 'numeric(19,4)',
    smallmoney: 'numeric(10,4)',
    uniqueidentifier: 'uuid',
    'char(2)': 'character varying(2)',
    'nchar(10)': 'character varying(10)',
    'varchar(254)': 'character varying(254)',
    'nvarchar(4000)': 'character varying(4000)',
    'nvarchar(max)': 'text',
    'NVARCHAR(MAX)': 'text',
    ntext: 'text',
    text: 'text',
    xml: 'text',
    'varbinary(max)': 'bytea',
    'varbinary(50)': 'bytea',
    'binary(8)': 'bytea',
    image: 'bytea',
    timestamp: 'bytea',
  };
  for (const [type, expected] of Object.entries(canonical)) assert.equal(columnType(type)?.type, expected, type);
  for (const type of [
    '',
    'geography',
    'decimal(39,0)',
    'decimal(2,3)',
    'int(',
    'sql_variant',
    'datetimeoffset(7)',
    'x; DROP',
  ])
    assert.equal(columnType(type), null, type);
});

describe('values are read by the type of their column', () => {
  test('and never by how they look', () => {
    for (const text of ['[I:5]', '[DT:01/01/2000 00:00:00]', '', ' ', '[B:AA==]', 'a\tb\\n', '😀']) {
      assert.equal(read('nvarchar(40)', text), `t${text}`);
      assert.equal(read('ntext', text), `t${text}`);
    }
    assert.equal(read('ntext', 'a\0b'), 'x610062');
  });

  test('integers within their bounds', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }), (value) => {
        for (const [type, min, max] of [
          ['tinyint', 0n, 255n],
          ['smallint', -(2n ** 15n), 2n ** 15n - 1n],
          ['int', -(2n ** 31n), 2n ** 31n - 1n],
          ['bigint', -(2n ** 63n), 2n ** 63n - 1n],
        ] as const) {
          for (const near of [value, min, max, min - 1n, max + 1n, min + (value % 5n), max + (value % 5n)]) {
            const expected = near >= min && near <= max ? `i${near}` : undefined;
            assert.equal(read(type, `[I:${near}]`), expected);
            assert.equal(read(type, `[S:${near}]`), expected);
          }
        }
      }),
    );
    for (const odd of [
      '5',
      '',
      '[I:]',
      '[I:5',
      'I:5',
      '[I:1.0]',
      '[I:0x1]',
      '[F:1]',
      '[X:1]',
      '[I:5] ',
      '[I: 5]',
      '[i:5]',
    ])
      assert.equal(read('int', odd), undefined, odd);
    assert.equal(read('bit', '[I:1]'), 'i1');
    assert.equal(read('bit', '[I:2]'), undefined);
  });

  test('doubles as they were', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const field = read('float', `[F:${Object.is(value, -0) ? '-0' : value}]`) ?? '';
        assert.ok(Object.is(Number(field.slice(1)), value), field);
      }),
    );
    assert.equal(read('float', '[F:1.7976931348623157E+308]'), 'r1.7976931348623157e+308');
    assert.equal(read('float', '[I:5]'), 'r5');
    for (const odd of ['[F:1,5]', '[F:NaN]', '[F:1E+400]', '[F:.]', '[F:]', '1.5', '[F:0x1]', '[F:1e]'])
      assert.equal(read('float', odd), undefined, odd);
  });

  test('exact numbers with all their digits', () => {
    const cases: Readonly<Record<string, string | undefined>> = {
      '[F:12.3]': 't12.30',
      '[M:-0012.30]': 't-12.30',
      '[I:7]': 't7.00',
      '[F:-0]': 't0.00',
      '[F:.5]': 't0.50',
      '[F:99999999.99]': 't99999999.99',
      '[F:100000000]': undefined,
      '[F:1.234]': undefined,
      '[F:1.2300]': 't1.23',
      '[F:.]': undefined,
      '[F:]': undefined,
      '[F:1E5]': undefined,
      '12.3': undefined,
    };
    for (const [text, expected] of Object.entries(cases)) assert.equal(read('decimal(10,2)', text), expected, text);
    assert.equal(read('decimal(38,0)', `[F:${'9'.repeat(38)}]`), `t${'9'.repeat(38)}`);
  });

  test('moments with every digit of theirs, and only those that there are', () => {
    const moments: Readonly<Record<string, string | undefined>> = {
      '[DT:12/31/2020 23:59:59.1234567]': 't2020-12-31 23:59:59.1234567',
      '[DT:01/01/1760 00:00:00.0000000]': 't1760-01-01 00:00:00',
      '[DT:02/29/2024 01:02:03.1200000]': 't2024-02-29 01:02:03.12',
      '[DT:02/28/1900 01:02]': 't1900-02-28 01:02:00',
      '[D:09/11/2017]': 't2017-09-11 00:00:00',
      '[DT:02/29/2023 00:00:00]': undefined,
      '[DT:02/29/1900 00:00:00]': undefined,
      '[DT:13/01/2020 00:00:00]': undefined,
      '[DT:31/12/2020 00:00:00]': undefined,
      '[DT:12/31/2020 24:00:00]': undefined,
      '[DT:12/31/2020 23:60:00]': undefined,
      '[DT:12/31/0000 23:00:00]': undefined,
      '[DT:12/31/2020 23:59:59.12345678]': undefined,
      '[DT:12/31/2020  23:59:59]': undefined,
      '[DT:2020-12-31 23:59:59]': undefined,
      '12/31/2020 23:59:59': undefined,
      '[T:12:00]': undefined,
    };
    for (const [text, expected] of Object.entries(moments)) assert.equal(read('datetime', text), expected, text);
    assert.equal(read('date', '[DT:09/11/2017 00:00:00.0000000]'), 't2017-09-11');
    assert.equal(read('date', '[DT:09/11/2017 00:00:01]'), undefined);
    assert.equal(read('time', '[T:14:52]'), 't14:52:00');
    assert.equal(read('time(7)', '[TS:23:59:59.9999999]'), 't23:59:59.9999999');
    assert.equal(read('time', '[TS:1.00:00:00]'), undefined);
  });

  test('bytes and identifiers', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = `[B:${Buffer.from(bytes).toString('base64')}]`;
        assert.equal(read('varbinary(max)', text), `b${Buffer.from(bytes).toString('hex')}`);
      }),
    );
    for (const odd of ['[B:A]', '[B:AAA]', '[B:!!!!]', 'AAAA', '[B:AA==', '[B:AA-_]', '0xAA'])
      assert.equal(read('varbinary(max)', odd), undefined, odd);
    const id = '6F9619FF-8B86-D011-B42D-00C04FC964FF';
    for (const text of [id, `{${id}}`]) assert.equal(read('uniqueidentifier', text), `t${id.toLowerCase()}`);
    assert.equal(read('uniqueidentifier', id.slice(1)), undefined);
  });

  test('in a time that grows with their length alone', () => {
    const long = '0'.repeat(1_000_000);
    for (const type of [
      'int',
      'float',
      'decimal(10,2)',
      'datetime',
      'date',
      'time',
      'uniqueidentifier',
      'varbinary(max)',
    ])
      for (const text of [long, `[I:${long}]`, `[F:${long}`, `[B:${long}!]`]) assert.equal(read(type, text), undefined);
  });
});
