import assert from 'node:assert/strict';
import { decodeRows, type Fields } from '../../src/database/row-text.ts';
import type { SourceDatabase, TrackedTable } from '../../src/database/source-database.ts';
import { noSignal } from './sqlite-fixture.ts';

export const enable = async (source: SourceDatabase, ...names: readonly string[]) =>
  source.enableTracking(
    names.map((name) => ({ schema: null, name })),
    noSignal,
  );

export const enableOne = async (source: SourceDatabase, name: string): Promise<TrackedTable> => {
  const report = await enable(source, name);
  const [table] = report.tables;
  assert.ok(table, JSON.stringify(report.refused));
  return table;
};

export const read = async (chunks: AsyncIterable<{ readonly rows: Uint8Array }>): Promise<readonly Fields[]> => {
  const rows: Fields[] = [];
  for await (const chunk of chunks) rows.push(...decodeRows(chunk.rows));
  return rows;
};

/** The net changes that `work` leaves behind. */
export const changesOf = async (source: SourceDatabase, name: string, work: () => void): Promise<readonly Fields[]> => {
  const { schema } = await enableOne(source, name);
  const since = await source.copyStart(schema, noSignal);
  work();
  await using snapshot = await source.openSnapshot([{ schema, since }], noSignal);
  assert.deepEqual(snapshot.refused, []);
  const [changed] = snapshot.changed;
  return changed === undefined ? [] : await read(snapshot.changes(changed, 50));
};
