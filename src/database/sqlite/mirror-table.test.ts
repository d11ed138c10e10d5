import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstValue, SqliteFixture } from '../../../test/support/sqlite-fixture.ts';
import { column, inTransaction, plainSchema, schemaOf, tagged, target } from '../../../test/support/sqlite-mirror.ts';
import type { TableSchema } from '../../core/table.ts';
import type { MirrorTransaction } from '../mirror-database.ts';
import type { Fields } from '../row-text.ts';

test('columns are renamed, dropped, added and changed in place; rows, indexes, views and triggers stay', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const schema = schemaOf([column('id', 'INTEGER', { nullable: false }), column('v', 'TEXT'), column('w', 'INT')]);
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(schema), true);
    await tx.load(target(schema), tagged(['i1', 'ta', 'i5'], ['i2', 'tb', null]));
  });
  const db = files.plain(
    'mirror.db',
    'CREATE INDEX mine ON t(v); CREATE VIEW seen AS SELECT v FROM t; CREATE TABLE log(a); CREATE TRIGGER tr AFTER DELETE ON t BEGIN INSERT INTO log VALUES (1); END',
  );
  const alter = (step: Parameters<MirrorTransaction['alter']>[1]) =>
    inTransaction(mirror, (tx) => tx.alter(target(schema), step));
  await alter({ kind: 'add-column', column: column('plain', 'INT'), fill: 'i7' });
  await alter({
    kind: 'add-column',
    column: column('fixed', 'TEXT', { nullable: false, defaultExpression: `'d'` }),
    fill: 'te',
  });
  await alter({
    kind: 'add-column',
    column: column('moment', 'TEXT', { defaultExpression: 'CURRENT_TIMESTAMP' }),
    fill: null,
  });
  await alter({ kind: 'add-column', column: column('raw', ''), fill: 'x610062' });
  await alter({ kind: 'rename-column', from: 'w', to: 'new "w"' });
  await alter({ kind: 'set-default', column: column('new "w"', 'INT', { defaultExpression: '42' }) });
  await alter({ kind: 'set-nullable', column: column('fixed', 'TEXT') });
  await alter({ kind: 'set-not-null', column: column('v', 'TEXT', { nullable: false }) });
  await alter({ kind: 'drop-column', name: 'raw' });
  await assert.rejects(alter({ kind: 'set-not-null', column: column('new "w"', 'INT', { nullable: false }) }), {
    code: 'VALUE_REFUSED',
  });
  await assert.rejects(alter({ kind: 'drop-column', name: 'v' }), { code: 'DEPENDENT_OBJECT' });
  assert.deepEqual(
    db
      .prepare('SELECT * FROM t ORDER BY id')
      .all()
      .map((row) => ({ ...row })),
    [
      { id: 1, v: 'a', 'new "w"': 5, plain: 7, fixed: 'e', moment: null },
      { id: 2, v: 'b', 'new "w"': null, plain: 7, fixed: 'e', moment: null },
    ],
  );
  assert.deepEqual(
    db
      .prepare(`SELECT name, "notnull", dflt_value, pk FROM pragma_table_info('t')`)
      .all()
      .map((row) => Object.values(row).join()),
    ['id,1,,1', 'v,1,,0', 'new "w",0,42,0', 'plain,0,,0', `fixed,0,'d',0`, 'moment,0,CURRENT_TIMESTAMP,0'],
  );
  db.exec('DELETE FROM t WHERE id = 1');
  assert.equal(firstValue(db, 'SELECT count(*) FROM log'), 1);
  assert.equal(firstValue(db, `SELECT count(*) AS n FROM sqlite_schema WHERE name = 'mine'`), 1);
});

test('a swap keeps indexes, views, triggers and foreign keys, and says what it cannot keep', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(plainSchema), true);
    await tx.load(target(plainSchema), tagged(['i1', 'told']));
  });
  const db = files.plain(
    'mirror.db',
    `CREATE INDEX "my index" ON t(v); CREATE UNIQUE INDEX both ON t(v, id); CREATE VIEW seen AS SELECT v FROM t; CREATE TABLE log(a);
     CREATE TRIGGER watch AFTER UPDATE ON t BEGIN INSERT INTO log SELECT NEW.v; END; CREATE TABLE child(t REFERENCES t(id)); INSERT INTO child VALUES (1)`,
  );
  const sqlOf = (name: string) => firstValue(db, 'SELECT sql FROM sqlite_schema WHERE name = ?', name);
  const names = ['my index', 'both', 'seen', 'watch', 'child', 't'];
  const before = names.map(sqlOf);
  const swapTo = (schema: TableSchema, row: Fields) =>
    inTransaction(mirror, async (tx) => {
      await tx.createTable(target(schema, 'speil_shadow'), false);
      await tx.load(target(schema, 'speil_shadow'), tagged(row));
      return tx.swap(target(schema, 'speil_shadow'));
    });
  assert.deepEqual(await swapTo(plainSchema, ['i1', 'tnew']), { notes: [] });
  assert.deepEqual(names.map(sqlOf), before);
  assert.equal(firstValue(db, 'SELECT v FROM seen'), 'new');
  const { notes } = await swapTo(schemaOf([column('id', 'INTEGER'), column('x', 'TEXT')]), ['i1', 'tx']);
  assert.deepEqual(
    notes.map((note) => /The (index|trigger) (.*) could not be kept/.exec(note)?.[2]),
    ['my index', 'both'],
  );
  assert.equal(sqlOf('speil_shadow'), undefined);
});
