import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { withClient } from '../support/postgres-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  APPLICATION,
  APPLICATION_KEY,
  postgresPlace,
  SoapService,
  sqlitePlace,
  TENANT,
  VENDOR_KEY,
} from '../support/soap-service.ts';
import { soapCycle } from '../support/superoffice/soap-task.ts';
import { withDirectory } from '../support/workload.ts';

const delivered = async (source: string, service: SoapService) => {
  const { report } = await soapCycle(source, service.url, {
    tenant: TENANT,
    application: APPLICATION,
    signingKey: VENDOR_KEY,
    clientPublicKey: createPublicKey(APPLICATION_KEY),
  });
  assert.equal(report.status, 'completed', JSON.stringify(report));
};

const ROWS = `(1, 'Ada', 1.5, NULL), (2, '[I:5]', -0.25, 'a <b> & "c" ]]>'), (3, '', 1e300, ''), (4, 'å😀', NULL, '\\x61')`;

test('a task of ours delivers through the contract from SQLite to a receiver of ours in PostgreSQL', async () => {
  using directory = withDirectory();
  const path = directory.file('source.db');
  using source = new DatabaseSync(path);
  source.exec(
    `CREATE TABLE contact(id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', rank REAL, note TEXT);
     CREATE TABLE photo(id INTEGER PRIMARY KEY, bytes BLOB); INSERT INTO contact VALUES ${ROWS}; INSERT INTO photo VALUES (9007199254740993, x'00ff'), (2, NULL)`,
  );
  await using service = await SoapService.start(await postgresPlace(await sharedPostgres()));
  const same = async () => {
    await delivered(`sqlite:${path}`, service);
    const expected = source
      .prepare("SELECT id, name, rank, replace(note, '\\x61', '\\\\x61') AS note FROM contact")
      .all();
    const found = await service.query('SELECT id::int, name, rank, note FROM contact ORDER BY id');
    assert.deepEqual(found.map(Object.values), expected.map(Object.values));
  };
  await same();
  const photos = await service.query("SELECT id::text, encode(bytes, 'hex') AS bytes FROM photo ORDER BY id");
  assert.deepEqual(photos.map(Object.values), [
    ['2', null],
    ['9007199254740993', '00ff'],
  ]);
  source.exec(
    "UPDATE contact SET name = 'Bo' WHERE id = 1; DELETE FROM contact WHERE id = 2; INSERT INTO contact VALUES (7, 'x', 0, 'y')",
  );
  await same();
  source.exec('ALTER TABLE contact DROP COLUMN rank; ALTER TABLE contact ADD COLUMN rank REAL DEFAULT 7');
  await same();
  source.exec('DROP TABLE photo');
  await same();
  await assert.rejects(service.query('SELECT 1 FROM photo'));
});

test('and from PostgreSQL to a receiver of ours in SQLite', async () => {
  const url = await (await sharedPostgres()).createDatabase();
  const run = (sql: string) => withClient(url, (client) => client.query(sql));
  await run(
    `CREATE TABLE contact(id int PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'nobody', rank float8, note text,
       seen timestamp DEFAULT '2020-01-02 03:04:05', price numeric(10,2), ok boolean, who uuid);
     INSERT INTO contact (id, name, rank, note) VALUES ${ROWS};
     UPDATE contact SET price = 12.5, ok = id = 2, who = '6f9619ff-8b86-d011-b42d-00c04fc964ff', seen = '2021-03-04 05:06:07.123456' WHERE id < 3`,
  );
  await using service = await SoapService.start(await sqlitePlace());
  const columns =
    'id, name, rank, note, CAST(seen AS text) AS seen, CAST(price AS text) AS price, CAST(ok AS int) AS ok, CAST(who AS text) AS who';
  const same = async () => {
    await delivered(url, service);
    const expected = await withClient(url, (client) => client.query(`SELECT ${columns} FROM contact ORDER BY id`));
    const found = await service.query(`SELECT ${columns} FROM contact ORDER BY id`);
    assert.deepEqual(found.map(Object.values), expected.rows.map(Object.values));
  };
  await same();
  await run("DELETE FROM contact WHERE id = 2; UPDATE contact SET id = 20 WHERE id = 3; UPDATE contact SET note = 'n'");
  await same();
  await run('TRUNCATE contact');
  await same();
});
