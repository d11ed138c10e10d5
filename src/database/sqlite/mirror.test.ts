import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import {
  dumpTable,
  firstValue,
  metadataRow,
  mirrorOnce,
  noSignal,
  SqliteFixture,
} from '../../../test/support/sqlite-fixture.ts';
import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { ColumnSchema, Dialect, TableSchema } from '../../core/table.ts';
import type { MirrorDatabase, MirrorTransaction, PendingCopy, WriteTarget } from '../mirror-database.ts';
import { type Fields, RowEncoder } from '../row-text.ts';

const column = (name: string, type: string, more: Partial<ColumnSchema> = {}): ColumnSchema => ({
  name,
  id: null,
  type,
  declaredType: type,
  nullable: true,
  defaultExpression: null,
  generatedAs: null,
  fill: { kind: 'value', text: null },
  ...more,
});

const schemaOf = (columns: readonly ColumnSchema[], more: Partial<TableSchema> = {}): TableSchema => ({
  table: { schema: null, name: 't' },
  dialect: 'sqlite',
  columns,
  key: ['id'],
  identity: 'made once',
  ...more,
});

const plainSchema = schemaOf([column('id', 'INTEGER', { nullable: false }), column('v', 'TEXT')]);
const target = (schema: TableSchema, shadow: string | null = null): WriteTarget => ({ schema, shadow, widened: {} });

const rowsOf = (dialect: Dialect, ...rows: readonly Fields[]) => {
  const encoder = new RowEncoder(1_000_000);
  for (const row of rows) encoder.add(row);
  return { ...encoder.take(), format: dialect === 'sqlite' ? ('tagged' as const) : ('typed' as const) };
};
const tagged = (...rows: readonly Fields[]) => rowsOf('sqlite', ...rows);

const inTransaction = <T>(mirror: MirrorDatabase, work: (tx: MirrorTransaction) => Promise<T>): Promise<T> =>
  mirror.transaction({ relaxed: true }, work);

const position = { lsn: Lsn.of(7), token: 'token', lineage: 'sqlite:here', bookmark: null };

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

test('every value of a SQLite source is stored as it was', async () => {
  await using files = new SqliteFixture();
  const literals = [
    'NULL',
    '9223372036854775807',
    '-9223372036854775808',
    '0',
    '1',
    '1.0',
    '1.5',
    '-0.0',
    '1e300',
    '9e999',
    '-9e999',
    `''`,
    `'12'`,
    `'x'`,
    `'😀'`,
    `x''`,
    `x'00ff0a'`,
    `CAST(x'ff41' AS TEXT)`,
    `CAST(x'610062' AS TEXT)`,
    'char(65533)',
    '0.1',
    '1e15',
    `'1e5'`,
    `'NaN'`,
    '9007199254740993',
  ];
  const types = [
    '',
    'INTEGER',
    'INT',
    'TEXT',
    'VARCHAR(3)',
    'BLOB',
    'REAL',
    'NUMERIC',
    'BOOLEAN',
    'DATETIME',
    '"odd ""type"',
    'DECIMAL(10, 2)',
    '"primary key"',
  ];
  const columns = types.map((type, index) => `c${index} ${type}`).join(', ');
  const rows = literals.map((sql, id) => `INSERT INTO t VALUES (${id}${`, ${sql}`.repeat(types.length)});`);
  const source = `CREATE TABLE t(id INTEGER PRIMARY KEY, ${columns}); CREATE TABLE s(id INTEGER PRIMARY KEY, a ANY, b TEXT) STRICT; INSERT INTO s VALUES (1, '12', '1'), (2, 12.0, '1.0'), (3, x'12', '')`;
  for (const encoding of ['UTF-8', 'UTF-16le', 'UTF-16be']) {
    const db = files.plain(`${encoding}.db`, `PRAGMA encoding='${encoding}'; ${source}; ${rows.join('')}`);
    files.plain(`${encoding}-mirror.db`, `PRAGMA encoding='${encoding}'; CREATE TABLE other(a)`);
    const [from, to] = [await files.source(`${encoding}.db`), await files.mirror(`${encoding}-mirror.db`)];
    await mirrorOnce(from, to);
    const copy = files.plain(`${encoding}-mirror.db`);
    assert.deepEqual(dumpTable(copy, 't'), dumpTable(db, 't'));
    assert.deepEqual(dumpTable(copy, 's'), dumpTable(db, 's'));
    db.exec('UPDATE t SET id = id; UPDATE s SET id = id');
    copy.exec('UPDATE t SET c0 = 1; UPDATE s SET a = 1');
    assert.deepEqual(await mirrorOnce(from, to), []);
    assert.deepEqual(dumpTable(copy, 't'), dumpTable(db, 't'));
  }
});

test('values of PostgreSQL take the form that the mapping says', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const cases: readonly (readonly [type: string, text: string | null, stored: string])[] = [
    ['smallint', '-32768', 'integer:-32768'],
    ['bigint', '9223372036854775807', 'integer:9223372036854775807'],
    ['oid', '4294967295', 'integer:4294967295'],
    ['real', '0.1', 'real:0.1'],
    ['double precision', '1e+300', 'real:1.0e+300'],
    ['double precision', 'NaN', 'text:NaN'],
    ['double precision', '-Infinity', 'real:-Inf'],
    ['double precision', '-0', 'real:0.0'],
    ['boolean', 't', 'integer:1'],
    ['boolean', 'f', 'integer:0'],
    ['bytea', '\\x00ff', 'blob:00FF'],
    ['bytea', '\\x', 'blob:'],
    ['numeric(40,3)', '123456789012345678901234567890.100', 'text:123456789012345678901234567890.100'],
    ['text', '', 'text:'],
    ['text', '12', 'text:12'],
    ['character varying(10)', '007', 'text:007'],
    ['timestamp with time zone', '2024-01-01 00:00:00+00', 'text:2024-01-01 00:00:00+00'],
    ['integer[]', '{1,2,NULL}', 'text:{1,2,NULL}'],
    ['jsonb', '{"a": 1}', 'text:{"a": 1}'],
    ['integer', null, 'null:'],
  ];
  for (const [type, text, stored] of cases) {
    const schema = schemaOf([column('id', 'integer', { nullable: false }), column('v', type)], { dialect: 'postgres' });
    await inTransaction(mirror, async (tx) => {
      await tx.dropTable({ table: schema.table, shadow: null });
      await tx.createTable(target(schema), true);
      await tx.apply(target(schema), rowsOf('postgres', ['U', '1', text]));
    });
    const sql = `SELECT typeof(v) || ':' || CASE typeof(v) WHEN 'blob' THEN hex(v) ELSE ifnull(v, '') END AS stored FROM t`;
    assert.equal(firstValue(files.plain('mirror.db'), sql), stored, `${type} ${text}`);
  }
  assert.deepEqual(
    mirror.describeForms(
      schemaOf([column('a', 'numeric'), column('b', 'text'), column('c', 'boolean'), column('d', 'integer')], {
        dialect: 'postgres',
      }),
    ),
    [`a: numeric becomes text in PostgreSQL's own form`, 'c: boolean becomes 0 or 1'],
  );
});

test('defaults of PostgreSQL are kept where SQLite can compute them', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  const defaults: readonly (readonly [type: string, sql: string])[] = [
    ['integer', '5'],
    ['integer', `'-5'::integer`],
    ['integer', `nextval('s'::regclass)`],
    ['text', `'it''s'::text`],
    ['character varying(9)', `'a'::character varying`],
    ['boolean', 'true'],
    ['timestamp without time zone', 'now()'],
    ['date', 'CURRENT_DATE'],
    ['numeric', '0.50'],
    ['text', 'NULL::text'],
    ['uuid', 'gen_random_uuid()'],
    ['text', `E'a\\nb'::text`],
    ['bytea', `'\\x0f'::bytea`],
    ['jsonb', `'{}'::jsonb`],
    ['double precision', '1.5'],
    ['timestamp with time zone', 'CURRENT_TIMESTAMP'],
  ];
  const columns = defaults.map(([type, sql], index) => column(`c${index}`, type, { defaultExpression: sql }));
  const [sql = ''] = mirror.describeCreate(target(schemaOf(columns, { key: [], dialect: 'postgres' })));
  const kept = sql
    .split('\n')
    .slice(1, -1)
    .map((line) => / DEFAULT (.*?),?$/.exec(line)?.[1] ?? null);
  assert.deepEqual(kept, [
    '5',
    '-5',
    null,
    `'it''s'`,
    `'a'`,
    '1',
    'CURRENT_TIMESTAMP',
    'CURRENT_DATE',
    `'0.50'`,
    'NULL',
    null,
    null,
    `X'0f'`,
    `'{}'`,
    '1.5',
    'CURRENT_TIMESTAMP',
  ]);
  files.plain('check.db', sql);
});

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

test('what may not be written is said', async () => {
  await using files = new SqliteFixture();
  mkdirSync(files.path('locked'));
  files.plain('locked/mirror.db', 'CREATE TABLE other(a)').close();
  await withoutPrivileges(files, async () => {
    await using mirror = await files.mirror('locked/mirror.db');
    const [missing] = await mirror.check();
    assert.match(missing?.grant ?? '', /^chmod u\+w '.*mirror\.db'$/);
    await assert.rejects(
      inTransaction(mirror, (tx) => tx.ensureMetadata()),
      { code: 'READ_ONLY' },
    );
  });
});

test('metadata of a mirror that is only looked at, also in a folder that cannot be written', async () => {
  await using files = new SqliteFixture();
  mkdirSync(files.path('locked'));
  const mirror = await files.mirror('locked/mirror.db');
  await inTransaction(mirror, async (tx) => {
    await tx.ensureMetadata();
    await tx.saveMetadata(metadataRow(plainSchema, position));
  });
  await mirror[Symbol.asyncDispose]();
  const look = async () => {
    await using seen = await files.mirror('locked/mirror.db', { readOnly: true });
    await assert.rejects(seen.hold({ pid: 1, host: 'h', since: 's' }), { code: 'READ_ONLY' });
    await assert.rejects(
      inTransaction(seen, (tx) => tx.ensureMetadata()),
      { code: 'READ_ONLY' },
    );
    assert.equal((await seen.readMetadata()).length, 1);
  };
  await look();
  assert.deepEqual(readdirSync(files.path('locked')), ['mirror.db']);
  await withoutPrivileges(files, async () => {
    await look();
    assert.deepEqual(readdirSync(files.path('locked')), ['mirror.db']);
    await assert.rejects(files.mirror('locked/mirror.db'), { code: 'READ_ONLY', hint: /writable/ });
  });
});

/** Makes the folder `locked` read-only, for the administrator too, who may write everywhere. */
async function withoutPrivileges(files: SqliteFixture, work: () => Promise<void>): Promise<void> {
  chmodSync(files.folder, 0o755);
  chmodSync(files.path('locked/mirror.db'), 0o444);
  chmodSync(files.path('locked'), 0o555);
  const user = process.geteuid?.() ?? 1;
  if (user === 0) process.seteuid?.(65534);
  try {
    await work();
  } finally {
    if (user === 0) process.seteuid?.(0);
    chmodSync(files.path('locked'), 0o755);
  }
}

/** Runs a module's text in another process; answers its first line of output. */
async function inOtherProcess(text: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', text, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const [line] = await once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(10_000) });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { pid: child.pid ?? 0, line: String(line), kill, [Symbol.asyncDispose]: kill };
}

const HOLDER = `
  const { openSqliteMirror } = await import(${JSON.stringify(join(import.meta.dirname, 'mirror.ts'))});
  const path = process.argv[1];
  const clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => {} };
  const mirror = await openSqliteMirror({ kind: 'sqlite', path, display: path }, { clock, random: {}, tenant: 'other' });
  await mirror.hold({ pid: process.pid, host: 'there', since: 'noon' });
  console.log('held');
  process.stdin.resume();
`;

test('a mirror that another process holds is refused, with who holds it, until that process is gone', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await using other = await inOtherProcess(HOLDER, files.path('mirror.db'));
  assert.equal(other.line, 'held');
  const me = { pid: process.pid, host: hostname(), since: 'now' };
  await assert.rejects(mirror.hold(me), {
    code: 'MIRROR_BUSY',
    message: new RegExp(`process ${other.pid} on there since noon`),
  });
  await inTransaction(mirror, (tx) => tx.ensureMetadata());
  await other.kill();
  const held = await mirror.hold(me);
  await assert.rejects((await files.mirror()).hold(me), { code: 'MIRROR_BUSY' });
  await held[Symbol.asyncDispose]();
  await using again = await mirror.hold(me);
  assert.ok(again);
  assert.equal(existsSync(files.path('mirror.db-speil.holder')), true);
});

const FILLER = `
  const { openSqliteMirror } = await import(${JSON.stringify(join(import.meta.dirname, 'mirror.ts'))});
  const [, path, schemaText] = process.argv;
  const schema = JSON.parse(schemaText);
  const clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => {} };
  const mirror = await openSqliteMirror({ kind: 'sqlite', path, display: path }, { clock, random: {}, tenant: 'speil' });
  const target = { schema, shadow: null, widened: {} };
  const row = (id) => Buffer.from('i' + id + '\\tt' + 'x'.repeat(100000) + '\\n');
  const answer = await mirror.transaction({ relaxed: false }, async (tx) => {
    await tx.deleteAll(target);
    let failed = 0;
    for (let id = 0; id < 200; id++) {
      await tx.savepoint(() => tx.load(target, { rows: row(id), rowCount: 1, format: 'tagged' })).catch(() => failed++);
    }
    return failed;
  }).catch((error) => error.code);
  console.log(answer);
  process.exit(0);
`;

test('a disk that is full is said so, and nothing is lost', async () => {
  await using files = new SqliteFixture();
  const mirror = await files.mirror();
  await inTransaction(mirror, async (tx) => {
    await tx.createTable(target(plainSchema), true);
    await tx.load(target(plainSchema), tagged(['i1', 'tkept']));
  });
  await mirror[Symbol.asyncDispose]();
  const child = spawn(
    'sh',
    [
      '-c',
      'ulimit -f 4000; exec "$0" "$@"',
      process.execPath,
      '--input-type=module',
      '-e',
      FILLER,
      files.path('mirror.db'),
      JSON.stringify(plainSchema),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = await Array.fromAsync(createInterface({ input: child.stdout }));
  assert.equal(line, 'DISK_FULL');
  assert.deepEqual(
    files
      .plain('mirror.db')
      .prepare('SELECT v FROM t')
      .all()
      .map(({ v }) => v),
    ['kept'],
  );
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
