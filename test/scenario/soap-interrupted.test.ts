import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TenantMirrors } from '../../src/client/tenant-mirrors.ts';
import { SpeilError } from '../../src/core/error.ts';
import type { MirrorDatabase } from '../../src/database/mirror-database.ts';
import { sharedPostgres } from '../support/shared-postgres.ts';
import {
  batch,
  columnInfo,
  insert,
  type MirrorPlace,
  postgresPlace,
  SoapService,
  sqlitePlace,
  tableInfo,
} from '../support/soap-service.ts';

const PLACES: Readonly<Record<MirrorPlace['kind'], () => Promise<MirrorPlace>>> = {
  sqlite: sqlitePlace,
  postgres: async () => postgresPlace(await sharedPostgres()),
};

const PERSON = tableInfo('person', columnInfo('version', 'int', { isNullable: false }));
const OTHER = tableInfo('other', columnInfo('version', 'int', { isNullable: false }));

type Method = (...args: readonly unknown[]) => unknown;

/** Around each method of an object, the work inside of a transaction among them. */
function disturbed<T extends object>(target: T, reach: () => void): T {
  return new Proxy(target, {
    get: (object, name) => {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value !== 'function' || name === 'deleteAll') return value;
      const method: Method = (...args) => Reflect.apply(value, object, args);
      return async (...args: readonly unknown[]) => {
        reach();
        const result = await method(...args);
        reach();
        return result;
      };
    },
  });
}

/** Breaks the connection at one of the moments of a call: between two statements, before the commit or after it. */
class Breaker {
  #left = Number.POSITIVE_INFINITY;

  breakAfter(moments: number): void {
    this.#left = moments;
  }

  get isDue(): boolean {
    return this.#left >= 0;
  }

  readonly around = (mirrors: TenantMirrors): TenantMirrors => ({
    use: (tenant, clientState, work) => mirrors.use(tenant, clientState, (mirror) => work(this.#broken(mirror))),
    [Symbol.asyncDispose]: () => mirrors[Symbol.asyncDispose](),
  });

  #reach = (): void => {
    if (this.#left-- === 0) throw new SpeilError('CONNECTION_LOST', 'the line is dead', { recovery: 'retry' });
  };

  #broken(mirror: MirrorDatabase): MirrorDatabase {
    return new Proxy(mirror, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        if (name !== 'transaction') return (...args: readonly unknown[]) => Reflect.apply(value, object, args);
        const transaction = value.bind(object) as MirrorDatabase['transaction'];
        const broken: MirrorDatabase['transaction'] = async (options, work) => {
          const result = await transaction(options, (tx) => work(disturbed(tx, this.#reach)));
          this.#reach();
          return result;
        };
        return broken;
      },
    });
  }
}

for (const [kind, place] of Object.entries(PLACES)) {
  describe(`a delivery to ${kind} that is interrupted`, () => {
    test('at any moment of a call leaves rows and LSN together, and the same call again completes it', async () => {
      const breaker = new Breaker();
      await using service = await SoapService.start(await place(), { around: breaker.around });
      await service.schema(PERSON, OTHER);
      const state = async () => {
        const lsns = (await service.lsns()).map(([, lsn]) => lsn);
        const rows = await service.query(
          'SELECT (SELECT min(version) FROM other) AS a, (SELECT max(version) FROM other) AS b, (SELECT min(version) FROM person) AS c, (SELECT max(version) FROM person) AS d, (SELECT count(*) FROM person) AS n',
        );
        return { lsns, versions: Object.values(rows[0] ?? {}).map(Number) };
      };
      const rowsOf = (version: number) => [1, 2, 3].map((key) => insert(`[I:${key}]`, `[I:${version}]`));
      const deliver = (version: number) =>
        service.rows(
          batch(PERSON, 0n, ...rowsOf(version).slice(0, 2)),
          batch(OTHER, BigInt(version), ...rowsOf(version)),
          batch(PERSON, BigInt(version), ...rowsOf(version)),
        );
      const complete = (version: number) => ({
        lsns: [version, version],
        versions: [version, version, version, version, 3],
      });
      assert.equal((await deliver(1)).isSuccessful, true);
      let version = 1;
      let interrupted = 0;
      for (let moment = 0; ; moment++) {
        breaker.breakAfter(moment);
        const answer = await deliver(version + 1);
        const isOver = breaker.isDue;
        breaker.breakAfter(Number.POSITIVE_INFINITY);
        const found = await state();
        const wasCommitted = found.lsns[0] === version + 1;
        assert.deepEqual(found, complete(wasCommitted ? version + 1 : version), `moment ${moment}`);
        if (isOver) {
          assert.equal(answer.isSuccessful, true);
          break;
        }
        interrupted++;
        assert.equal(answer.isSuccessful, false, `moment ${moment}`);
        assert.equal((await deliver(version + 1)).isSuccessful, true);
        assert.deepEqual(await state(), complete(++version));
      }
      assert.ok(interrupted > 15, `${interrupted} moments`);
    });

    test('after the second of five batches keeps the old LSN, and the table is complete when all come again', async () => {
      await using service = await SoapService.start(await place());
      await service.schema(PERSON);
      await service.rows(batch(PERSON, 40n, insert('[I:1]', '[I:0]')));
      const deliver = async (calls: number) => {
        for (let call = 1; call <= calls; call++) {
          const rows = [1, 2].map((at) => insert(`[I:${call * 2 + at}]`, `[I:${call}]`));
          assert.equal((await service.rows(batch(PERSON, call === 5 ? 50n : 0n, ...rows))).isSuccessful, true);
        }
      };
      await deliver(2);
      assert.deepEqual(await service.lsns(), [['person', 40]]);
      assert.equal((await service.schema(PERSON)).mirrorLsn[0]?.lsn, 40n);
      await deliver(5);
      assert.deepEqual(await service.lsns(), [['person', 50]]);
      assert.equal((await service.query('SELECT 1 FROM person')).length, 11);
    });

    test('by many tenants at once mixes nothing up', async () => {
      await using service = await SoapService.start(await place());
      const tenants = Array.from({ length: kind === 'sqlite' ? 20 : 4 }, (_, at) => `Cust${at}`);
      const tables = Array.from({ length: 50 }, (_, at) => tableInfo(`t${at}`, columnInfo('whose', 'nvarchar(20)')));
      await Promise.all(
        tenants.map(async (tenant) => {
          await service.call('TableSchema', { clientState: null, tables }, tenant);
          await Promise.all(
            [0, 1, 2, 3, 4].map(async (part) => {
              const dataBatches = tables
                .filter((_, at) => at % 5 === part)
                .map((table, at) =>
                  batch(table, BigInt(at + 1), insert('[I:1]', tenant), insert('[I:2]', table.tableName)),
                );
              const answer = await service.call('RowData', { clientState: null, dataBatches }, tenant);
              assert.deepEqual(answer, { isSuccessful: true, errorMessage: null });
            }),
          );
        }),
      );
      for (const tenant of tenants) {
        const union = tables.map(({ tableName }) => `SELECT whose FROM ${tableName} WHERE contact_id = 1`);
        const found = await service.query(union.join(' UNION '), tenant);
        assert.deepEqual(found.map(Object.values), [[tenant]]);
        assert.ok((await service.lsns(tenant)).every(([, lsn]) => lsn > 0));
      }
    });
  });
}
