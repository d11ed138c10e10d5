import assert from 'node:assert/strict';
import { copyFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import {
  dumpTable,
  firstValue,
  metadataRow,
  mirrorOnce,
  noSignal,
  SqliteFixture,
} from '../../../test/support/sqlite-fixture.ts';
import {
  column,
  inTransaction,
  plainSchema,
  position,
  schemaOf,
  tagged,
  target,
} from '../../../test/support/sqlite-mirror.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { PendingCopy } from '../mirror-database.ts';
import type { Fields } from '../row-text.ts';

test('the file is made when it is missing, the folder is not', async () => {
  await using files = new SqliteFixture();
  await assert.rejects(files.mirror('none/mirror.db'), { code: 'FILE_MISSING', hint: /mkdir/ });
  await assert.rejects(files.mirror('mirror.db', { readOnly: true }), { code: 'FILE_MISSING' });
  assert.deepEqual(readdirSync(files.folder), []);
  const mirror = await files.mirror();
  assert.deepEqual(await mirror.readMetadata(), []);
  assert.equal(firstValue(files.plain('mirror.db'), 'PRAGMA journal_mode'), 'wal');
  assert.deepEqual(await mirror.check(), []);
});

test('what is in the file already is not touched', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('mirror.db', `CREATE TABLE t(a); INSERT INTO t VALUES (1); CREATE VIEW T2 AS SELECT 1`);
  const mirror = await files.mirror();
  for (const name of ['t', 'T', 't2']) {
    const taken = target({ ...plainSchema, table: { schema: null, name } });
    await assert.rejects(
      inTransaction(mirror, (tx) => tx.createTable(taken, true)),
      { code: 'NAME_TAKEN' },
    );
  }
  assert.equal(firstValue(db, 'PRAGMA journal_mode'), 'delete');
  assert.deepEqual(dumpTable(db, 't').length, 1);
});

test('counts of inserted, updated and deleted rows are right, and applying again changes nothing more', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const db = files.plain('mirror.db');
  const changes = tagged(
    ['U', 'i1', 'tone'],
    ['U', 'i9', 'tnine'],
    ['D', 'i2', null],
    ['D', 'i77', null],
    ['U', 'i3', null],
  );
  const counts = await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(plainSchema), true);
    await tx.load(target(plainSchema), tagged(['i1', 'ta'], ['i2', 'tb'], ['i3', 'tc']));
    return [
      (await tx.apply(target(plainSchema), changes)).counts,
      (await tx.apply(target(plainSchema), changes)).counts,
    ];
  });
  assert.deepEqual(counts, [
    { inserted: 1, updated: 2, deleted: 1 },
    { inserted: 0, updated: 3, deleted: 0 },
  ]);
  assert.deepEqual(
    db
      .prepare('SELECT id, v FROM t ORDER BY id')
      .all()
      .map((row) => ({ ...row })),
    [
      { id: 1, v: 'one' },
      { id: 3, v: null },
      { id: 9, v: 'nine' },
    ],
  );
});

test('rows of a copy that come twice are there once: left out of a shadow, replaced in the table itself', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const [shadow, live] = [target(plainSchema, 'shadow'), target(plainSchema)];
  const counts = await inTransaction(mirror, async (tx) => {
    await tx.createTable(shadow, false);
    await tx.createTable(live, true);
    const twice = tagged(['i1', 'ta'], ['i2', 'tb'], ['i1', 'tc']);
    const loaded = [(await tx.load(shadow, twice)).counts, (await tx.load(live, twice)).counts];
    assert.deepEqual(await tx.buildKey(shadow), { duplicates: 0 });
    return [...loaded, await tx.countRows(shadow), await tx.countRows(live)];
  });
  assert.deepEqual(counts, [{ inserted: 2, updated: 0, deleted: 0 }, { inserted: 2, updated: 1, deleted: 0 }, 2, 2]);
});

test('tables whose columns are all key, and tables without a key', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const allKey = target(schemaOf([column('a', 'TEXT'), column('b', '')], { key: ['b', 'a'] }));
  const keyless = target(schemaOf([column('a', '')], { table: { schema: 's', name: 'k' }, key: [] }));
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(allKey, true);
    await tx.createTable(keyless, true);
    assert.deepEqual((await tx.apply(allKey, tagged(['U', 'tx', 'b01'], ['U', 'ty', 'r1.5']))).counts, {
      inserted: 2,
      updated: 0,
      deleted: 0,
    });
    assert.deepEqual((await tx.apply(allKey, tagged(['U', 'tx', 'b01'], ['D', 'ty', 'r1.5']))).counts, {
      inserted: 0,
      updated: 1,
      deleted: 1,
    });
    assert.equal((await tx.load(keyless, tagged(['i1'], ['i1']))).counts.inserted, 2);
    assert.equal(await tx.tableExists({ table: { schema: 's', name: 'k' }, shadow: null }), true);
    assert.equal(await tx.deleteAll(keyless), 2);
    await tx.dropTable({ table: { schema: 's', name: 'k' }, shadow: null });
    assert.equal(await tx.tableExists({ table: { schema: 's', name: 'k' }, shadow: null }), false);
  });
});

test('a savepoint takes back one table and leaves the others', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(plainSchema), true);
    await tx.savepoint(async () => tx.load(target(plainSchema), tagged(['i1', 'ta'])));
    const failing = tx.savepoint(async () => {
      await tx.load(target(plainSchema), tagged(['i2', 'tb']));
      await tx.savepoint(async () => tx.load(target(plainSchema), tagged(['i3', 'tc'])));
      await tx.load(target(plainSchema), tagged(['ttext', 'tb']));
    });
    await assert.rejects(failing, { code: 'VALUE_REFUSED' });
    await tx.savepoint(async () => tx.load(target(plainSchema), tagged(['i4', 'td'])));
  });
  assert.equal(dumpTable(files.plain('mirror.db'), 't').length, 2);
  await assert.rejects(
    inTransaction(mirror, async (tx) => {
      await tx.deleteAll(target(plainSchema));
      throw new Error('mine');
    }),
    { message: 'mine' },
  );
  assert.equal(dumpTable(files.plain('mirror.db'), 't').length, 2);
});

test(`a unique index of the owner's refuses rows, but not rows that trade their values`, async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const live = target(plainSchema);
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(live, true);
    await tx.load(live, tagged(['i1', 'ta'], ['i2', 'tb']));
  });
  files.plain('mirror.db', 'CREATE UNIQUE INDEX u ON t(v)');
  const apply = (...rows: readonly Fields[]) =>
    inTransaction(mirror, async (tx) => (await tx.apply(live, tagged(...rows))).counts);
  assert.deepEqual(await apply(['U', 'i1', 'tb'], ['U', 'i2', 'ta'], ['U', 'i3', 'tc']), {
    inserted: 1,
    updated: 2,
    deleted: 0,
  });
  await assert.rejects(apply(['U', 'i4', 'tc']), { code: 'KEY_VIOLATED' });
  assert.equal(dumpTable(files.plain('mirror.db'), 't').length, 3);
});

test('metadata come back as they were saved; an LSN of -1 means to copy again', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const copy: PendingCopy = {
    shadow: null,
    schema: plainSchema,
    schemaHash: 'h',
    start: position,
    progress: 'p',
    rows: 5,
    filled: false,
    widened: {},
  };
  const saved = {
    ...metadataRow(plainSchema, { ...position, lsn: Lsn.of(2n ** 64n - 2n), bookmark: 'b' }),
    copy,
    rows: 12,
    widened: { v: 'TEXT' },
    nullablePending: ['v'],
  };
  const first = { ...metadataRow({ ...plainSchema, table: { schema: 's', name: 'first' } }, null), copy };
  await inTransaction(mirror, async (tx) => {
    await tx.ensureMetadata();
    await tx.ensureMetadata();
    await tx.createTable(target(plainSchema), true);
    await tx.createTable(target(first.schema), true);
    await tx.saveMetadata(saved);
    await tx.saveMetadata(saved);
    await tx.saveMetadata(first);
    assert.deepEqual(await tx.readMetadata([plainSchema.table]), [saved]);
    await tx.markCompleted('2026-01-01T00:00:00Z');
  });
  const completed = { ...saved, completedAt: '2026-01-01T00:00:00Z' };
  assert.deepEqual(await mirror.readMetadata(), [first, completed]);
  const db = files.plain('mirror.db', `UPDATE speil_mirroring SET lsn = -1`);
  assert.deepEqual(await mirror.readMetadata(), [first, { ...completed, position: null, copy: null }]);
  db.exec('DROP TABLE "s.first"');
  assert.deepEqual((await mirror.readMetadata())[0], { ...first, exists: false, copy: null });
  await inTransaction(mirror, (tx) => tx.forgetMetadata(first.table));
  assert.equal((await mirror.readMetadata()).length, 1);
});

test('a lock of another program is waited for, and then said', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const db = files.plain('mirror.db', 'BEGIN IMMEDIATE');
  const waiting = inTransaction(mirror, (tx) => tx.ensureMetadata());
  db.exec('ROLLBACK');
  await waiting;
  assert.equal((await mirror.readMetadata()).length, 0);
});

test('a restored mirror and a moved source go on from their positions', async () => {
  await using files = new SqliteFixture();
  const db = files.plain('source.db', 'CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)');
  const source = await files.source();
  assert.deepEqual(await mirrorOnce(source, await files.mirror('mirror.db')), ['t']);
  copyFileSync(files.path('source.db'), files.path('moved.db'));
  const moved = files.plain('moved.db', 'INSERT INTO t VALUES (2, 2)');
  db.exec('INSERT INTO t VALUES (3, 3)');
  const mirror = await files.mirror('mirror.db');
  assert.deepEqual(await mirrorOnce(await files.source('moved.db'), mirror), []);
  assert.deepEqual(dumpTable(files.plain('mirror.db'), 't'), dumpTable(moved, 't'));
  assert.deepEqual(await mirrorOnce(source, mirror), ['t']);
  assert.deepEqual(dumpTable(files.plain('mirror.db'), 't'), dumpTable(db, 't'));
});

test('errors are of the project, with a hint', async () => {
  await using files = new SqliteFixture();
  files.plain('a.db', 'CREATE TABLE t(a)');
  const mirror = await files.mirror('a.db');
  const failed = await inTransaction(mirror, (tx) => tx.createTable(target(plainSchema), true)).catch(
    (error: unknown) => error,
  );
  assert.ok(failed instanceof SpeilError);
  assert.match(failed.hint ?? '', /--skip-table/);
  noSignal.throwIfAborted();
});
