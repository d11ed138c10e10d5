import assert from 'node:assert/strict';
import { untrack } from '../../src/mirror.ts';
import {
  copiedIn,
  fromPostgres,
  fromSqlite,
  Mirroring,
  type TestDatabase,
  testPairs,
} from '../conformance/mirroring.ts';
import { assertAllCopied, assertNothingCopied, repopulatedIn, SHOP, Shop, trade } from './shop.ts';

/** What becomes of a mirror when change tracking was off, or its changes are no longer kept. Guarantee T5. */
async function opened(mirroring: Mirroring): Promise<void> {
  await mirroring.source.sql(SHOP);
  await mirroring.follow();
}

async function copiesOnly(mirroring: Mirroring, table: string): Promise<void> {
  const cycle = await mirroring.follow();
  assert.deepEqual(copiedIn(cycle), [table]);
  assertNothingCopied(await mirroring.follow());
}

const UNSEEN = "UPDATE customer SET name = 'unseen' WHERE id <= 3";

testPairs(
  'triggers that were disabled and enabled again, by their owner or for all',
  async (mirroring) => {
    const { source } = mirroring;
    await opened(mirroring);
    await source.sql(
      `ALTER TABLE customer DISABLE TRIGGER USER; ${UNSEEN}; ALTER TABLE customer ENABLE TRIGGER USER;
       UPDATE customer SET name = 'seen' WHERE id = 5`,
    );
    await copiesOnly(mirroring, 'customer');
    await source.sql(
      `ALTER TABLE customer DISABLE TRIGGER speil_update; UPDATE customer SET name = 'off' WHERE id <= 3`,
    );
    await copiesOnly(mirroring, 'customer');
    await source.sql("UPDATE customer SET name = 'tracked again' WHERE id = 7");
    assertNothingCopied(await mirroring.follow());
  },
  fromPostgres,
);

testPairs(
  'a trigger, the trigger function or all of it dropped',
  async (mirroring) => {
    const { source } = mirroring;
    await opened(mirroring);
    await source.sql(`DROP TRIGGER speil_update ON customer; ${UNSEEN}`);
    await copiesOnly(mirroring, 'customer');
    const name = String(
      await source.value(
        "SELECT tgfoid::regprocedure FROM pg_trigger WHERE tgname = 'speil_insert' AND tgrelid = 'customer'::regclass",
      ),
    );
    await source.sql(`DROP FUNCTION ${name} CASCADE; UPDATE customer SET name = 'without function'`);
    await copiesOnly(mirroring, 'customer');
    await source.sql("DROP SCHEMA speil CASCADE; UPDATE customer SET name = 'without schema' WHERE id = 9");
    assertAllCopied(await mirroring.follow(), /tracking was removed|began anew/);
    await trade(source);
    assertNothingCopied(await mirroring.follow());
  },
  fromPostgres,
);

testPairs('untracked and tracked again', async (mirroring) => {
  await opened(mirroring);
  await untrack(mirroring.source.address);
  await mirroring.source.sql(UNSEEN);
  assertAllCopied(await mirroring.follow(), /tracking|another file/);
  await trade(mirroring.source);
  assertNothingCopied(await mirroring.follow());
});

/** Eight days pass, as far as the change tracking can tell. */
const EIGHT_DAYS_PASS = {
  postgres: `UPDATE speil.bookmark SET at = at - interval '8 days'; UPDATE speil.history SET pruned_at = pruned_at - interval '8 days'`,
  sqlite: `UPDATE speil_clock SET at = at - 8 * 86400000; UPDATE speil_bookmark SET left_at = left_at - 8 * 86400000`,
};

testPairs('a mirror that was away for longer than changes are kept, and one that was not', async (mirroring) => {
  const { source } = mirroring;
  await opened(mirroring);
  await using second = await Mirroring.open(mirroring.pair);
  const regular = new Shop(source.address, second.mirror.address);
  for (let week = 0; week < 2; week++) {
    await trade(source);
    await regular.follow();
    await source.sql(EIGHT_DAYS_PASS);
    await regular.cycle();
  }
  assertNothingCopied(await regular.follow());
  const cycle = await mirroring.follow();
  for (const table of ['customer', 'sale'])
    assert.match(repopulatedIn(cycle)[table] ?? '', /no longer kept|older than the changes/);
  await trade(source);
  assertNothingCopied(await mirroring.follow());
});

testPairs('eight quiet days: a mirror that comes back each day copies nothing', async (mirroring) => {
  const { source } = mirroring;
  await opened(mirroring);
  const aDay = {
    postgres: `UPDATE speil.bookmark SET at = at - interval '30 hours'; UPDATE speil.history SET pruned_at = pruned_at - interval '30 hours'`,
    sqlite: `UPDATE speil_clock SET at = at - 30 * 3600000; UPDATE speil_bookmark SET left_at = left_at - 30 * 3600000`,
  };
  for (let day = 0; day < 8; day++) {
    await source.sql(aDay);
    await source.sql(`UPDATE sale SET amount = ${day} WHERE customer = 9`);
    assertNothingCopied(await mirroring.cycle());
  }
  await trade(source);
  assertNothingCopied(await mirroring.follow());
});

testPairs(
  'triggers or all of the tracking dropped from a file',
  async (mirroring) => {
    const { source } = mirroring;
    await opened(mirroring);
    await source.sql(`DROP TRIGGER ${await triggerOf(source, 'customer')}; ${UNSEEN}`);
    await copiesOnly(mirroring, 'customer');
    for (const { sql } of await source.sql(
      "SELECT format('DROP %s %s', type, name) AS sql FROM sqlite_schema WHERE name LIKE 'speil%' AND type IN ('table', 'trigger') ORDER BY type DESC",
    ))
      await source.sql(String(sql));
    await source.sql("UPDATE customer SET name = 'without tracking'");
    assertAllCopied(await mirroring.follow(), /tracking/);
  },
  fromSqlite,
);

const triggerOf = async (source: TestDatabase, table: string): Promise<string> =>
  String(
    await source.value(
      `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = '${table}' AND name LIKE '%_u'`,
    ),
  );
