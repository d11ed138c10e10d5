import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirror, plan, untrack } from '../../src/mirror.ts';
import { assertSameRows } from '../support/dump.ts';
import { withClient } from '../support/postgres-client.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';

/** A database of `owner`'s with two tables, a login without any privilege, and an empty mirror. */
async function stage(name: string) {
  const server = await sharedPostgres();
  const [owner, reader] = [`owner_${name}`, `reader_${name}`];
  await server.createRole(owner);
  await server.createRole(reader);
  await server.createDatabase(`privileges_${name}`, { owner });
  const asOwner = server.url(`privileges_${name}`, owner);
  const owned = (sql: string) => withClient(asOwner, (client) => client.query(sql));
  await owned(`CREATE SCHEMA shop; CREATE TABLE shop.item (id int PRIMARY KEY, name text); INSERT INTO shop.item VALUES (1, 'lamp');
    CREATE TABLE shop.sale (day date, id int, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
    CREATE TABLE shop.sale_2026 PARTITION OF shop.sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO shop.sale VALUES ('2026-05-17', 1)`);
  return { owned, asOwner, source: server.url(`privileges_${name}`, reader), mirror: await server.createDatabase() };
}

test('a login without privileges: nothing happens, and every GRANT is named', async () => {
  const { source, mirror: target } = await stage('none');
  await assert.rejects(mirror({ source, mirror: target }), (error: { code: string; hint: string }) => {
    assert.equal(error.code, 'PRIVILEGE_MISSING');
    assert.match(error.hint, /^GRANT CREATE ON DATABASE "privileges_none" TO "reader_none";$/);
    return true;
  });
});

test('typing the GRANTs of the plan is enough, and neither superuser nor ownership is among them', async () => {
  const { source, mirror: target, owned, asOwner } = await stage('plan');
  const before = await plan({ source, mirror: target });
  const grants = before.missing.filter(({ required }) => required).map(({ grant }) => grant);
  assert.deepEqual(
    new Set(grants),
    new Set([
      'GRANT CREATE ON DATABASE "privileges_plan" TO "reader_plan";',
      'GRANT USAGE ON SCHEMA "shop" TO "reader_plan";',
      ...['"shop"."item"', '"shop"."sale"', '"shop"."sale_2026"'].flatMap((table) => [
        `GRANT SELECT ON ${table} TO "reader_plan";`,
        `GRANT TRIGGER ON ${table} TO "reader_plan";`,
      ]),
    ]),
  );
  for (const grant of grants) await owned(grant);
  assert.deepEqual(
    (await plan({ source, mirror: target })).missing.filter(({ required }) => required),
    [],
  );
  const report = await mirror({ source, mirror: target });
  assert.equal(report.status, 'completed', JSON.stringify(report.tables));
  await owned("INSERT INTO shop.item VALUES (2, 'chair'); INSERT INTO shop.sale_2026 VALUES ('2026-12-24', 2)");
  await mirror({ source, mirror: target });
  await assertSameRows(asOwner, target);
  const { removed } = await untrack(source);
  assert.ok(removed.length >= 3, removed.join());
});

test('a table that may not be read is named with its GRANT; the others complete', async () => {
  const { source, mirror: target, owned } = await stage('one');
  await owned(`GRANT CREATE ON DATABASE privileges_one TO reader_one; GRANT USAGE ON SCHEMA shop TO reader_one;
    GRANT SELECT, TRIGGER ON shop.item TO reader_one`);
  const { status, tables } = await mirror({ source, mirror: target });
  assert.equal(status, 'failed');
  const sale = tables.find(({ table }) => table === 'shop.sale');
  assert.equal(sale?.error?.code, 'PRIVILEGE_MISSING');
  assert.match(sale?.error?.hint ?? '', /GRANT SELECT ON "shop"\."sale" TO "reader_one";/);
  assert.equal(tables.find(({ table }) => table === 'shop.item')?.inserted, 1);
});

test('row security that would hide rows is an error, never a shorter mirror', async () => {
  const { source, mirror: target, owned } = await stage('policy');
  await owned(`GRANT CREATE ON DATABASE privileges_policy TO reader_policy; GRANT USAGE ON SCHEMA shop TO reader_policy;
    GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA shop TO reader_policy;
    ALTER TABLE shop.item ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON shop.item USING (false)`);
  const { tables } = await mirror({ source, mirror: target });
  const item = tables.find(({ table }) => table === 'shop.item');
  assert.equal(item?.error?.code, 'PRIVILEGE_MISSING');
  assert.match(item?.error?.hint ?? '', /BYPASSRLS/);
});

test('a plan changes nothing in either database', async () => {
  const { asOwner, mirror: target } = await stage('nothing');
  const catalogue = (url: string) =>
    withClient(
      url,
      async (client) =>
        (await client.query('SELECT oid, relname, xmin FROM pg_class WHERE oid >= 16384 ORDER BY oid')).rows,
    );
  const before = [await catalogue(asOwner), await catalogue(target)];
  const { tables, excluded } = await plan({ source: asOwner, mirror: target });
  assert.deepEqual(
    tables.map(({ table, work }) => [table, work]),
    [
      ['shop.item', 'copy'],
      ['shop.sale', 'copy'],
    ],
  );
  assert.ok(tables[0]?.sourceDdl.some((sql) => sql.includes('CREATE TRIGGER')));
  assert.match(tables[0]?.mirrorDdl.join() ?? '', /CREATE TABLE "shop"\."item"/);
  assert.deepEqual(excluded, []);
  assert.deepEqual([await catalogue(asOwner), await catalogue(target)], before);
});
