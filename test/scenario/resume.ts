import assert from 'node:assert/strict';
import type { TaskEvent } from '../../src/task/report.ts';
import type { Mirroring } from '../conformance/mirroring.ts';
import { runChild } from '../crash/crash.ts';

export const bigTable = (rows: number) => ({
  postgres: `CREATE TABLE big (id int PRIMARY KEY, note text NOT NULL, n bigint);
    INSERT INTO big SELECT i, md5(i::text), i * 7 FROM generate_series(1, ${rows}) i; ANALYZE big`,
  sqlite: `CREATE TABLE big (id INTEGER PRIMARY KEY, note TEXT NOT NULL, n INTEGER);
    WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < ${rows})
    INSERT INTO big SELECT i, printf('%032x', i * 2654435761), i * 7 FROM i`,
});

/** Bytes of a batch that one row takes up, about; batches of PostgreSQL are not quite full. */
const ROW_BYTES = { postgres: 57, sqlite: 48 };

/**
 * A first copy is killed when about 60 % of the rows are in; rows change meanwhile. The next cycle goes on from the
 * last batch that was stored. Guarantee T6.
 */
export async function resumesAtSixtyPercent(mirroring: Mirroring, rows: number, batchBytes: number): Promise<void> {
  const { source, mirror } = mirroring;
  await source.sql(bigTable(rows));
  const occurrence = Math.round((0.6 * rows * ROW_BYTES[source.kind]) / batchBytes);
  const addresses = { source: source.address, mirror: mirror.address };
  assert.ok(await runChild({ ...addresses, point: 'chunk of copy', occurrence, batchBytes, cyclesMax: 1 }));
  await source.sql(
    `UPDATE big SET note = 'changed meanwhile' WHERE id % 1000 = 0; DELETE FROM big WHERE id % 1000 = 1;
     INSERT INTO big VALUES (-1, 'new', 1); UPDATE big SET id = -id WHERE id % 1000 = 2`,
  );
  const { events } = await mirroring.cycle({ batchBytes });
  const started = events.find((event) => event.event === 'copy-started');
  assert.ok(started);
  const resumed = started.resumedAtRows / rows;
  assert.ok(resumed > 0.55 && resumed < 0.75, `the copy went on at ${resumed}`);
  const copied = rowsCopied(events) - started.resumedAtRows;
  assert.ok(copied / rows < 0.45, `${copied} of ${rows} rows were copied in the second run`);
  const again = copied + started.resumedAtRows - rows;
  assert.ok(again < batchBytes / 100, `${again} rows came again: more than those that changed`);
}

const rowsCopied = (events: readonly TaskEvent[]): number =>
  Math.max(...events.map((event) => (event.event === 'copy-progress' ? event.rows : 0)));
