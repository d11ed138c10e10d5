import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createCrm } from '../../demo/crm.ts';
import { type JsonLine, SpeilProcess, speil } from '../support/speil-process.ts';
import { withDirectory } from '../support/workload.ts';

const ROWS = 3_000;
const TABLES = 21;

/** A company's database, and where its mirror will be. */
function company() {
  const directory = withDirectory();
  const [source, mirror] = [directory.file('crm.db'), directory.file('mirror.db')];
  createCrm(source, { seed: 3, rows: ROWS });
  return { source, mirror, directory, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

function execute(path: string, sql: string): void {
  using database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec(sql);
}

test('mirror, verify, damage, verify, repair, verify', async () => {
  using crm = company();
  const first = await speil(['mirror', crm.source, crm.mirror]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /^Cycle completed in .*: 21 tables, 3,000 inserted, 0 updated, 0 deleted\.\n/);
  const proof = await speil(['verify', crm.source, crm.mirror]);
  assert.equal(proof.code, 0, proof.stderr);
  assert.match(proof.stdout, /Identical: 21 tables, 3,000 rows\.\n$/);
  execute(crm.mirror, "UPDATE company SET name = 'wrong' WHERE id = 5; DELETE FROM person WHERE id = 7");
  const damaged = await speil(['verify', crm.source, crm.mirror, '--json']);
  assert.equal(damaged.code, 3, damaged.stderr);
  assert.partialDeepStrictEqual(damaged.events.at(-1), { event: 'verify', identical: false });
  const one = await speil(['verify', crm.source, crm.mirror, '--table', 'tag']);
  assert.equal(one.code, 0, one.stdout);
  const repair = await speil(['verify', crm.source, crm.mirror, '--repair', '--table', 'company', '--table', 'person']);
  assert.equal(repair.code, 3, repair.stderr);
  assert.match(repair.stdout, /Different: 2 rows in 2 of 2 tables, .*, 2 repaired\.\n$/);
  assert.equal((await speil(['verify', crm.source, crm.mirror])).code, 0);
});

test('--json: one object a line, the last one the cycle', async () => {
  using crm = company();
  const { code, events, stderr } = await speil(['mirror', crm.source, crm.mirror, '--json']);
  assert.deepEqual([code, stderr], [0, '']);
  const last = events.at(-1) as { readonly tables: readonly { readonly inserted: number; readonly lsn: unknown }[] };
  assert.partialDeepStrictEqual(last, { event: 'cycle', status: 'completed' });
  assert.equal(last.tables.length, TABLES);
  assert.equal(
    last.tables.reduce((sum, table) => sum + table.inserted, 0),
    ROWS,
  );
  for (const { lsn } of last.tables) assert.match(String(lsn), /^\d+$/);
  assert.equal(events.filter(({ event }) => event === 'cycle').length, 1);
});

test('--plan says what would happen and changes nothing', async () => {
  using crm = company();
  const text = await speil(['mirror', crm.source, crm.mirror, '--plan']);
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /21 tables, about 3,000 rows/);
  assert.match(text.stdout, /open_sale: /);
  assert.doesNotMatch(text.stdout, /Missing privileges/, 'a mirror file that is not there yet can be made');
  const { events } = await speil(['mirror', crm.source, crm.mirror, '--plan', '--json']);
  assert.equal(events.length, 1);
  assert.partialDeepStrictEqual(events[0], { event: 'plan', mirror: crm.mirror });
  assert.equal(existsSync(crm.mirror), false);
  using database = new DatabaseSync(crm.source);
  assert.deepEqual(database.prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'speil%'").all(), []);
});

test('skipping, by flag and by configuration file', async () => {
  using crm = company();
  const config = crm.directory.file('config.json');
  writeFileSync(config, '{ "skipTables": ["Email", "visit_log"], "batchSize": 20000, "quiet": true }');
  const byFile = await speil(['mirror', crm.source, crm.mirror, '--config', config]);
  assert.match(byFile.stdout, /^Cycle completed in .*: 19 tables, [^\n]*\n$/, byFile.stderr);
  const byFlag = await speil(['mirror', crm.source, crm.mirror, '--config', config, '--skip-table', 'email, persn']);
  assert.match(byFlag.stdout, /: 20 tables,/);
  assert.match(byFlag.stderr, /^warning: .*persn/);
});

test('status, resync and untrack', async () => {
  using crm = company();
  await speil(['mirror', crm.source, crm.mirror]);
  const status = await speil(['status', crm.mirror]);
  assert.equal(status.code, 0, status.stderr);
  assert.match(status.stdout, /21 of 21 tables up to date, 3,000 rows\. Last cycle: 20/);
  const resync = await speil(['resync', crm.mirror, 'person', 'tag']);
  assert.equal(resync.stdout, 'The next cycle copies 2 tables again: person, tag.\n', resync.stderr);
  assert.match((await speil(['status', crm.mirror])).stdout, /19 of 21 tables up to date/);
  const again = await speil(['mirror', crm.source, crm.mirror, '--json']);
  const copied = again.events.filter(({ event }) => event === 'copy-started');
  assert.deepEqual(copied.map(({ table }) => table).sort(), ['person', 'tag']);
  const unknown = await speil(['resync', crm.mirror, 'persn']);
  assert.deepEqual([unknown.code, /persn/.test(unknown.stderr)], [2, true]);
  const untrack = await speil(['untrack', crm.source, '--json']);
  assert.equal(untrack.code, 0, untrack.stderr);
  assert.ok((untrack.events as readonly { readonly removed?: readonly string[] }[])[0]?.removed?.length);
  assert.equal((await speil(['untrack', crm.source])).stdout, 'There was nothing to remove.\n');
});

test('--follow brings changes until it is interrupted, then ends with 130', async () => {
  using crm = company();
  await using following = new SpeilProcess(['mirror', crm.source, crm.mirror, '--follow', '--json']);
  await following.waitFor(({ event }) => event === 'cycle');
  execute(crm.source, "INSERT INTO tag (id, name) VALUES (4711, 'brand new')");
  await following.waitFor((event) => isCycleOf(event, 'tag'));
  using mirror = new DatabaseSync(crm.mirror, { timeout: 5_000 });
  assert.partialDeepStrictEqual(mirror.prepare('SELECT name FROM tag WHERE id = 4711').get(), { name: 'brand new' });
  following.interrupt();
  assert.deepEqual(await following.exit, { code: 130, signal: null });
  assert.equal(following.events.at(-1)?.event, 'cycle');
  assert.match(following.stderr, /Ending after the batch under way/);
});

const isCycleOf = ({ event, tables }: JsonLine, name: string): boolean =>
  event === 'cycle' &&
  (tables as readonly { readonly table: string; readonly inserted: number }[]).some(
    ({ table, inserted }) => table === name && inserted === 1,
  );

test('--every runs cycle after cycle', async () => {
  using crm = company();
  await using running = new SpeilProcess(['mirror', crm.source, crm.mirror, '--every', '100ms', '--json']);
  await running.waitFor(() => running.events.filter(({ event }) => event === 'cycle').length >= 3);
  running.signal('SIGTERM');
  assert.deepEqual(await running.exit, { code: 130, signal: null });
});

test('a first copy that is interrupted goes on where it stopped', async () => {
  using directory = withDirectory();
  const [source, mirror] = [directory.file('crm.db'), directory.file('mirror.db')];
  createCrm(source, { seed: 3, rows: 60_000 });
  const command = ['mirror', source, mirror, '--json', '--batch-size', '5000'];
  await using running = new SpeilProcess(command);
  await running.waitFor(({ event, rows }) => event === 'copy-progress' && Number(rows) > 500);
  running.interrupt();
  assert.equal((await running.exit).code, 130);
  assert.partialDeepStrictEqual(running.events.at(-1), { event: 'cycle', status: 'failed' });
  const next = await speil(command);
  assert.equal(next.code, 0, next.stderr);
  assert.equal((await speil(['verify', source, mirror])).code, 0);
});

test('a mirror that is its own source, and a file that is no mirror, are refused', async () => {
  using crm = company();
  const same = await speil(['mirror', crm.source, `sqlite:${crm.source}`]);
  assert.equal(same.code, 2);
  assert.match(same.stderr, /SAME_DATABASE/);
  const none = await speil(['status', crm.source]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /NOT_A_MIRROR/);
});
