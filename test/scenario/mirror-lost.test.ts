import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { copiedIn, Mirroring, type TestDatabase, testPairs } from '../conformance/mirroring.ts';
import { dumpDatabase } from '../support/dump.ts';
import { assertAllCopied, assertNothingCopied, database, repopulatedIn, SHOP, Shop, TABLES, trade } from './shop.ts';

/** What becomes of a mirror when its own database is lost, put back or pointed at another source. Guarantee T5. */
async function opened(mirroring: Mirroring): Promise<void> {
  await mirroring.source.sql(SHOP);
  await mirroring.follow();
}

const pathOf = ({ address }: TestDatabase): string => address.replace(/^sqlite:/, '');

/** Everything in the mirror's database goes. */
async function throwAway(mirror: TestDatabase): Promise<void> {
  if (mirror.kind === 'postgres') await mirror.sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  else for (const suffix of ['', '-wal', '-shm']) rmSync(`${pathOf(mirror)}${suffix}`, { force: true });
}

/** Another database with what is in this one now. */
async function copyOf(original: TestDatabase): Promise<string> {
  if (original.kind === 'sqlite') {
    const copy = `${pathOf(original)}.${performance.now()}.db`;
    using connection = new DatabaseSync(pathOf(original));
    connection.prepare('VACUUM INTO ?').run(copy);
    return `sqlite:${copy}`;
  }
  const url = new URL(original.address);
  const [name, copy] = [url.pathname.slice(1), `copy_of_${url.pathname.slice(1)}`];
  url.pathname = '/postgres';
  await database(url.href).sql(`CREATE DATABASE ${copy} TEMPLATE ${name}`);
  url.pathname = `/${copy}`;
  return url.href;
}

testPairs('the mirror is thrown away: it comes back', async (mirroring) => {
  await opened(mirroring);
  await trade(mirroring.source);
  await throwAway(mirroring.mirror);
  assertAllCopied(await mirroring.follow(), /holds no position/);
  await trade(mirroring.source);
  assertNothingCopied(await mirroring.follow());
});

testPairs(
  'LSN -1, set with SQL on a table that was emptied: that table is copied, the others go on',
  async (mirroring) => {
    await opened(mirroring);
    await trade(mirroring.source);
    await mirroring.mirror.sql(
      "DELETE FROM customer; UPDATE speil_mirroring SET lsn = -1 WHERE table_name = 'customer'",
    );
    const cycle = await mirroring.follow();
    assert.deepEqual(copiedIn(cycle), ['customer']);
    assert.match(repopulatedIn(cycle)['customer'] ?? '', /holds no position/);
  },
);

testPairs('LSN -1 in every row of the metadata', async (mirroring) => {
  await opened(mirroring);
  await mirroring.mirror.sql('UPDATE speil_mirroring SET lsn = -1');
  assertAllCopied(await mirroring.follow(), /holds no position/);
});

testPairs('a mirror that is an older backup of itself catches up', async (mirroring) => {
  await opened(mirroring);
  await trade(mirroring.source);
  await mirroring.cycle();
  const backup = await copyOf(mirroring.mirror);
  for (let day = 0; day < 3; day++) {
    await trade(mirroring.source);
    await mirroring.cycle();
  }
  const restored = new Shop(mirroring.source.address, backup);
  assertNothingCopied(await restored.follow());
  assertNothingCopied(await mirroring.follow());
});

testPairs(
  'a mirror of another source is refused and left as it is, until it is expressly taken over',
  async (mirroring) => {
    await opened(mirroring);
    await using other = await Mirroring.open(mirroring.pair);
    await other.source.sql(SHOP);
    await trade(other.source);
    await other.cycle();
    const wrong = new Shop(other.source.address, mirroring.mirror.address);
    const before = await dumpDatabase(mirroring.mirror.address);
    const metadata = await mirroring.mirror.sql('SELECT * FROM speil_mirroring ORDER BY table_name');
    await assert.rejects(wrong.cycle(), { code: 'OTHER_LINEAGE', hint: /--take-over/ });
    assert.deepEqual(await dumpDatabase(mirroring.mirror.address), before);
    assert.deepEqual(await mirroring.mirror.sql('SELECT * FROM speil_mirroring ORDER BY table_name'), metadata);
    assertAllCopied(await wrong.follow({ takeOver: true }), /belongs to another source|does not know/);
    assertNothingCopied(await wrong.follow());
    await assert.rejects(mirroring.cycle(), { code: 'OTHER_LINEAGE' });
  },
);

testPairs('two mirrors of one source do not know of each other, and the source of neither', async (mirroring) => {
  await opened(mirroring);
  await using second = await Mirroring.open({ ...mirroring.pair, name: 'second' });
  const other = new Shop(mirroring.source.address, second.mirror.address);
  assert.deepEqual(copiedIn(await other.follow()).toSorted(), TABLES);
  await trade(mirroring.source);
  assertNothingCopied(await mirroring.follow());
  const tracking = mirroring.source.kind === 'postgres' ? 'speil.tracked' : 'speil_tracked';
  const before = await mirroring.source.sql(`SELECT * FROM ${tracking} ORDER BY n`);
  await trade(mirroring.source);
  assertNothingCopied(await other.follow());
  assertNothingCopied(await mirroring.follow());
  assert.deepEqual(await mirroring.source.sql(`SELECT * FROM ${tracking} ORDER BY n`), before);
});
