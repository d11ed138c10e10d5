import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { fromSqlite, type Mirroring, type TestDatabase, testPairs } from '../conformance/mirroring.ts';
import { assertAllCopied, assertNothingCopied, repopulatedIn, SHOP, Shop, trade } from './shop.ts';

/** What becomes of a mirror when its SQLite source is put back, copied or exchanged. Guarantee T5. */
const pathOf = ({ address }: TestDatabase): string => address.replace(/^sqlite:/, '');

let copies = 0;

function backUp(source: TestDatabase): string {
  const copy = `${pathOf(source)}.${++copies}.db`;
  using database = new DatabaseSync(pathOf(source));
  database.prepare('VACUUM INTO ?').run(copy);
  return copy;
}

function putBack(source: TestDatabase, backup: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${pathOf(source)}${suffix}`, { force: true });
  renameSync(backup, pathOf(source));
}

async function opened({ source }: Mirroring, follow: () => Promise<unknown>): Promise<string> {
  await source.sql(SHOP);
  await follow();
  return backUp(source);
}

testPairs(
  'put back to an earlier time',
  async (mirroring) => {
    const backup = await opened(mirroring, () => mirroring.follow());
    for (let day = 0; day < 3; day++) await trade(mirroring.source);
    await mirroring.follow();
    putBack(mirroring.source, backup);
    assertAllCopied(await mirroring.follow(), /restored/);
    await trade(mirroring.source);
    assertNothingCopied(await mirroring.follow());
  },
  fromSqlite,
);

testPairs(
  'put back and then written so much that the positions look right again',
  async (mirroring) => {
    const backup = await opened(mirroring, () => mirroring.follow());
    await trade(mirroring.source);
    await mirroring.follow();
    putBack(mirroring.source, backup);
    for (let day = 0; day < 4; day++) await trade(mirroring.source);
    const why = repopulatedIn(await mirroring.follow());
    for (const table of ['customer', 'sale']) assert.match(why[table] ?? '', /restored or cloned/);
    await trade(mirroring.source);
    assertNothingCopied(await mirroring.follow());
  },
  fromSqlite,
);

testPairs(
  'put back to a time that the mirror has not passed',
  async (mirroring) => {
    await opened(mirroring, () => mirroring.follow());
    await trade(mirroring.source);
    const backup = backUp(mirroring.source);
    await trade(mirroring.source);
    putBack(mirroring.source, backup);
    await trade(mirroring.source);
    assertNothingCopied(await mirroring.follow());
  },
  fromSqlite,
);

testPairs(
  'a copy of the file that goes its own way, and the mirror with it and back',
  async (mirroring) => {
    const backup = await opened(mirroring, () => mirroring.follow());
    const copy = new Shop(`sqlite:${backup}`, mirroring.mirror.address);
    for (let day = 0; day < 2; day++) {
      await trade(copy.source);
      await copy.follow();
      await trade(mirroring.source);
      await mirroring.follow();
    }
  },
  fromSqlite,
);

testPairs(
  'another file under the same name, without tracking and with the tracking of another history',
  async (mirroring) => {
    const { source } = mirroring;
    await opened(mirroring, () => mirroring.follow());
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${pathOf(source)}${suffix}`, { force: true });
    await source.sql(SHOP);
    await trade(source);
    assertAllCopied(await mirroring.follow(), /another file was put in its place/);
  },
  fromSqlite,
);
