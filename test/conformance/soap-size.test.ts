import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeRequest } from '../../src/client/soap/messages.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  batch,
  columnInfo,
  type MirrorPlace,
  postgresPlace,
  SoapService,
  sqlitePlace,
  tableInfo,
} from '../support/soap-service.ts';

const TABLES = 413;
const COLUMNS = 5_270;
/** What the contract asks for; a hundredth of it is usual. */
const UNCHANGED_MS_MAX = 5_000;

const TYPES = [
  { type: 'int', defaultValue: 'default ((0))' },
  { type: 'smallint', defaultValue: 'default ((-1))' },
  { type: 'datetime', defaultValue: "default (N'1760-01-01 00:00:00')" },
  { type: 'nvarchar(254)', defaultValue: "default (N'')" },
  { type: 'float', defaultValue: '' },
  { type: 'ntext', defaultValue: '' },
  { type: 'varbinary(max)', defaultValue: '' },
] as const;

/** As many tables and columns as the vendor's own database. */
const catalogue = () =>
  Array.from({ length: TABLES }, (_, table) => {
    const count = Math.floor(COLUMNS / TABLES) + (table < COLUMNS % TABLES ? 1 : 0);
    const columns = Array.from({ length: count - 1 }, (_, at) => {
      const kind = TYPES[(table + at) % TYPES.length] ?? TYPES[0];
      return columnInfo(`a_column_with_a_name_${at}`, kind.type, {
        defaultValue: kind.defaultValue,
        isNullable: kind.defaultValue === '',
      });
    });
    return tableInfo(`table_of_the_catalogue_${table}`, ...columns);
  });

const PLACES: Readonly<Record<MirrorPlace['kind'], () => Promise<MirrorPlace>>> = {
  sqlite: sqlitePlace,
  postgres: async () => postgresPlace(await sharedPostgres()),
};

for (const [kind, place] of Object.entries(PLACES)) {
  test(`a schema of ${TABLES} tables that did not change takes a moment and no DDL on ${kind}`, async () => {
    await using service = await SoapService.start(await place());
    const tables = catalogue();
    assert.equal(tables.flatMap(({ columns }) => columns).length, COLUMNS);
    const bytes = writeRequest('TableSchema', { clientState: null, tables }, await service.token()).length;
    assert.ok(bytes > 700_000, `${bytes} bytes`);
    await service.schema(...tables);
    await service.rows(...tables.map((table) => batch(table, 4n)));
    const isSqlite = service.place.kind === 'sqlite';
    const version = isSqlite ? 'PRAGMA schema_version' : 'SELECT max(oid)::bigint, count(*) FROM pg_class';
    const before = await service.query(version);
    const startedMs = performance.now();
    const answer = await service.schema(...tables);
    const tookMs = performance.now() - startedMs;
    assert.equal(answer.isSuccessful, true);
    assert.deepEqual(new Set(answer.mirrorLsn.map(({ lsn }) => lsn)), new Set([4n]));
    assert.equal(answer.mirrorLsn.length, TABLES);
    assert.deepEqual(await service.query(version), before);
    assert.ok(tookMs < UNCHANGED_MS_MAX, `${tookMs} ms`);
  });
}
