import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_LSN } from '../../src/client/soap/messages.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  batch,
  columnInfo,
  insert,
  KEY,
  type MirrorPlace,
  postgresPlace,
  remove,
  SoapService,
  STATED,
  sqlitePlace,
  TENANT,
  tableInfo,
  update,
} from '../support/soap-service.ts';

const PLACES: Readonly<Record<MirrorPlace['kind'], () => Promise<MirrorPlace>>> = {
  sqlite: sqlitePlace,
  postgres: async () => postgresPlace(await sharedPostgres()),
};

const NAME = columnInfo('name', 'nvarchar(40)', { isNullable: false, defaultValue: "default (N'')" });
const CONTACT = tableInfo('contact', NAME, columnInfo('registered', 'datetime'));
const PERSON = tableInfo('person', NAME);

for (const [kind, place] of Object.entries(PLACES)) {
  const started = async (options = {}) => SoapService.start(await place(), options);
  const DONE = { isSuccessful: true, errorMessage: null };

  describe(`a task of SuperOffice delivers to ${kind}`, () => {
    test('a first cycle makes the tables, fills them, and keeps the LSN of the last batch', async () => {
      await using service = await started();
      const authenticated = await service.call('Authenticate', STATED);
      assert.equal(authenticated.isSuccessful, true);
      assert.equal(authenticated.supportedInterfaces, '1');
      assert.equal(authenticated.superOfficeMirroringBuild, '1.2.3');
      assert.equal(authenticated.additionalInformationJson, null);
      assert.deepEqual(await service.schema(CONTACT, PERSON), {
        ...DONE,
        mirrorLsn: [
          { tableName: 'contact', lsn: NO_LSN },
          { tableName: 'person', lsn: NO_LSN },
        ],
      });
      assert.deepEqual(await service.call('Wipe', { ...STATED, tableName: 'contact' }), DONE);
      assert.deepEqual(
        await service.rows(batch(CONTACT, 0n, insert('[I:1]', 'Ann', '[DT:03/04/2021 05:06:07.0000000]'))),
        DONE,
      );
      assert.deepEqual(await service.lsns(), [
        ['contact', -1],
        ['person', -1],
      ]);
      assert.deepEqual(
        await service.rows(
          batch(CONTACT, 0n, insert('[I:2]', '', null)),
          batch(CONTACT, 77n, insert('[I:3]', '[I:5]', '[DT:01/01/1760 00:00:00.0000000]')),
          batch(PERSON, 77n, insert('[I:9]', 'Bo')),
        ),
        DONE,
      );
      const changedTables = [{ tableName: 'contact', inserts: 3, updates: 0, deletes: 0 }];
      assert.deepEqual(await service.call('ReplicationCompleted', { ...STATED, changedTables }), DONE);
      assert.deepEqual(await service.lsns(), [
        ['contact', 77],
        ['person', 77],
      ]);
      const rows = await service.query(
        'SELECT contact_id, name, CAST(registered AS text) AS registered FROM contact ORDER BY contact_id',
      );
      assert.deepEqual(rows.map(Object.values), [
        [1, 'Ann', '2021-03-04 05:06:07'],
        [2, '', null],
        [3, '[I:5]', '1760-01-01 00:00:00'],
      ]);
      assert.deepEqual((await service.schema(CONTACT, PERSON)).mirrorLsn, [
        { tableName: 'contact', lsn: 77n },
        { tableName: 'person', lsn: 77n },
      ]);
    });

    test('rows are applied by key, whatever the operation says, and may come again', async () => {
      await using service = await started();
      await service.schema(PERSON);
      const rows = batch(PERSON, 5n, insert('[I:1]', 'a'), insert('[I:2]', 'b'), update('[I:3]', 'c'));
      for (const _ of [1, 2]) assert.deepEqual(await service.rows(rows), DONE);
      assert.deepEqual(
        await service.rows(batch(PERSON, 6n, remove('[I:2]'), remove('[I:99]', null), update('[I:1]', 'a2'))),
        DONE,
      );
      const again = batch(
        PERSON,
        7n,
        insert('[I:4]', 'x'),
        remove('[I:4]'),
        insert('[I:4]', 'y'),
        update('[I:4]', 'z'),
      );
      assert.deepEqual(await service.rows(again), DONE);
      const found = await service.query('SELECT contact_id, name FROM person ORDER BY contact_id');
      assert.deepEqual(found.map(Object.values), [
        [1, 'a2'],
        [3, 'c'],
        [4, 'z'],
      ]);
      assert.equal((await service.schema(PERSON, CONTACT)).isSuccessful, true);
      assert.deepEqual(await service.rows(batch(CONTACT, 8n, remove('[I:1]', null, 'whatever'))), DONE);
      const counted = await service.query(`SELECT rows FROM "${TENANT}_mirroring" WHERE table_name = 'person'`);
      assert.equal(Number(counted[0]?.['rows']), 3);
    });

    test('a batch that fails keeps its table as it was, and takes no other with it', async () => {
      await using service = await started();
      await service.schema(CONTACT, PERSON);
      await service.rows(batch(CONTACT, 5n, insert('[I:1]', 'a', null)), batch(PERSON, 5n, insert('[I:1]', 'p')));
      const answer = await service.rows(
        batch(CONTACT, 6n, insert('[I:2]', 'b', null)),
        batch(CONTACT, 7n, insert('[I:3]', 'c', '[X:1]')),
        batch(PERSON, 7n, insert('[I:2]', 'q')),
      );
      assert.equal(answer.isSuccessful, false);
      assert.match(answer.errorMessage ?? '', /^contact: .*column registered .*VALUE_REFUSED/);
      assert.deepEqual(await service.lsns(), [
        ['contact', 5],
        ['person', 7],
      ]);
      assert.equal((await service.query('SELECT contact_id FROM contact')).length, 1);
      assert.equal((await service.query('SELECT contact_id FROM person')).length, 2);
    });

    test('rows of a table or column that the mirror does not have are refused', async () => {
      await using service = await started();
      await service.schema(PERSON);
      await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
      const wider = tableInfo('person', NAME, columnInfo('age', 'int'));
      const retyped = tableInfo('person', { ...NAME, type: 'int' });
      for (const [info, why] of [
        [tableInfo('nobody', NAME), /nobody: .*not one of the mirror/],
        [wider, /no column age/],
        [retyped, /column name has another type/],
        [tableInfo('person'), /column name is missing/],
      ] as const) {
        const row = insert('[I:2]', ...info.columns.slice(1).map(() => null));
        const answer = await service.rows(batch(info, 9n, row));
        assert.equal(answer.isSuccessful, false);
        assert.match(answer.errorMessage ?? '', why);
      }
      assert.deepEqual(await service.lsns(), [['person', 5]]);
      const turned = { tableName: 'person', columns: [NAME, KEY] };
      assert.deepEqual(await service.rows(batch(turned, 6n, insert('turned', '[I:7]'))), DONE);
      assert.deepEqual(await service.lsns(), [['person', 6]]);
    });

    test('a column that is added keeps the LSN, one of another type makes the table anew', async () => {
      await using service = await started();
      await service.schema(CONTACT);
      await service.rows(batch(CONTACT, 5n, insert('[I:1]', 'a', null)));
      const rank = columnInfo('rank', 'smallint', { isNullable: false, defaultValue: 'default ((-1))' });
      const wider = tableInfo('contact', NAME, columnInfo('registered', 'datetime'), rank, columnInfo('note', 'ntext'));
      assert.deepEqual((await service.schema(wider)).mirrorLsn, [{ tableName: 'contact', lsn: 5n }]);
      assert.deepEqual((await service.query('SELECT rank, note FROM contact')).map(Object.values), [[-1, null]]);
      await service.call('ReplicationCompleted', { ...STATED, changedTables: [] });
      const retyped = tableInfo('contact', { ...NAME, type: 'datetime', isNullable: true, defaultValue: null });
      assert.deepEqual((await service.schema(retyped)).mirrorLsn, [{ tableName: 'contact', lsn: NO_LSN }]);
      assert.deepEqual(await service.query('SELECT * FROM contact'), []);
      assert.deepEqual(await service.rows(batch(retyped, 8n, insert('[I:1]', '[D:02/29/2024]'))), DONE);
      const found = await service.query('SELECT CAST(name AS text) AS name FROM contact');
      assert.deepEqual(found.map(Object.values), [['2024-02-29 00:00:00']]);
    });

    test('tables that are gone from the schema are dropped, with their rows of the metadata', async () => {
      await using service = await started();
      await service.schema(CONTACT, PERSON);
      assert.equal((await service.schema(PERSON)).isSuccessful, true);
      assert.deepEqual(await service.lsns(), [['person', -1]]);
      await assert.rejects(service.query('SELECT * FROM contact'));
      const empty = await service.schema();
      assert.equal(empty.isSuccessful, false);
      assert.match(empty.errorMessage ?? '', /no tables/);
      assert.deepEqual(await service.lsns(), [['person', -1]]);
    });

    test('an unchanged cycle and a wipe leave indexes of the owner, and a wipe comes before its hook', async () => {
      const seen: unknown[] = [];
      const looked: { query?: MirrorPlace['query'] } = {};
      const hooks = {
        onWipe: async (table: { name: string }, { tenant }: { tenant: string }) => {
          const rows = await looked.query?.('SELECT count(*) AS n FROM person');
          seen.push([table.name, tenant, Number(rows?.[0]?.['n'])]);
        },
      };
      await using service = await started({ hooks });
      looked.query = service.query;
      await service.schema(PERSON);
      await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
      await service.query('CREATE INDEX own_index ON person (name)');
      assert.equal((await service.schema(PERSON)).mirrorLsn[0]?.lsn, 5n);
      assert.deepEqual(await service.call('Wipe', { ...STATED, tableName: 'person' }), DONE);
      assert.deepEqual(seen, [['person', TENANT, 0]]);
      assert.deepEqual(await service.lsns(), [['person', -1]]);
      const indexes =
        kind === 'sqlite'
          ? "SELECT 1 FROM sqlite_schema WHERE name = 'own_index'"
          : "SELECT 1 FROM pg_indexes WHERE indexname = 'own_index'";
      assert.equal((await service.query(indexes)).length, 1);
      assert.deepEqual(await service.rows(batch(PERSON, 0n, insert('[I:2]', 'b'))), DONE);
      assert.deepEqual((await service.call('Wipe', { ...STATED, tableName: 'nobody' })).isSuccessful, false);
    });

    test('what an operator does to the mirror by hand is mended', async () => {
      await using service = await started();
      await service.schema(CONTACT, PERSON);
      await service.rows(batch(CONTACT, 5n), batch(PERSON, 5n, insert('[I:1]', 'a')));
      await service.query(`UPDATE "${TENANT}_mirroring" SET lsn = -1 WHERE table_name = 'person'`);
      await service.query('DROP TABLE contact');
      const { mirrorLsn } = await service.schema(CONTACT, PERSON);
      assert.deepEqual(
        mirrorLsn.map(({ lsn }) => lsn),
        [NO_LSN, NO_LSN],
      );
      assert.deepEqual(await service.rows(batch(CONTACT, 6n, insert('[I:1]', 'x', null)), batch(PERSON, 6n)), DONE);
    });

    test('a mirror that another source fills is left alone', async () => {
      await using service = await started();
      await service.schema(PERSON);
      await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
      await service.query(`UPDATE "${TENANT}_mirroring" SET lineage = 'another'`);
      const answers = [
        await service.schema(CONTACT),
        await service.rows(batch(PERSON, 9n, insert('[I:2]', 'b'))),
        await service.call('Wipe', { ...STATED, tableName: 'person' }),
      ];
      for (const { isSuccessful, errorMessage } of answers) {
        assert.equal(isSuccessful, false);
        assert.match(errorMessage ?? '', /another source.*OTHER_LINEAGE/);
      }
      assert.deepEqual(await service.lsns(), [['person', 5]]);
      assert.equal((await service.query('SELECT 1 FROM person')).length, 1);
    });

    test('a table that cannot be made to fit is told, and the others have their LSN', async () => {
      await using service = await started();
      await service.schema(PERSON);
      await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
      await service.query(kind === 'sqlite' ? 'CREATE TABLE contact (own)' : 'CREATE VIEW contact AS SELECT 1 AS own');
      const answer = await service.schema(CONTACT, PERSON);
      assert.equal(answer.isSuccessful, false);
      assert.match(answer.errorMessage ?? '', /^contact: .*NAME_TAKEN/);
      assert.deepEqual(answer.mirrorLsn, [{ tableName: 'person', lsn: 5n }]);
      await service.query(kind === 'sqlite' ? 'DROP TABLE contact' : 'DROP VIEW contact');
      assert.equal((await service.schema(CONTACT, PERSON)).isSuccessful, true);
    });
  });
}

test('a view of the owner on a table that has to be made anew keeps the table until it is gone', async () => {
  await using service = await SoapService.start(await PLACES.postgres());
  await service.schema(PERSON);
  await service.rows(batch(PERSON, 5n, insert('[I:1]', 'a')));
  await service.query('CREATE VIEW own_view AS SELECT name FROM person');
  const retyped = tableInfo('person', columnInfo('name', 'datetime'));
  const answer = await service.schema(retyped);
  assert.equal(answer.isSuccessful, false);
  assert.match(answer.errorMessage ?? '', /^person: .*DEPENDENT_OBJECT/);
  assert.equal((await service.query('SELECT * FROM own_view')).length, 1);
  await service.query('DROP VIEW own_view');
  assert.deepEqual((await service.schema(retyped)).mirrorLsn, [{ tableName: 'person', lsn: NO_LSN }]);
});
