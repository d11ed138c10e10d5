import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { SpeilError } from '../../src/core/error.ts';
import type { Streams } from '../../src/server/streams/streams.ts';
import { TestFile } from '../support/streams/open-gate.ts';
import { run, serve, step, until } from '../support/streams/served-streams.ts';

const schema = 'create table t(key integer, part integer, primary key (key, part)); create table c(n)';

type Executor = { readonly pid: number; readonly role: string };

function executors(parent: number): Executor[] {
  const lines = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(parent)], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => line.includes('executor.ts'))
    .map((line) => ({ pid: Number.parseInt(line, 10), role: /"role":"(\w+)"/.exec(line)?.[1] ?? '' }));
}

/** What a client was told of what it wrote. */
type Told = 'committed' | 'unknown' | 'refused';

const told = (error: unknown): Told =>
  error instanceof SpeilError && error.code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'refused';

/** One row alone. */
async function writeOne(streams: Streams, key: number): Promise<Told> {
  const stream = streams.openStream('write');
  try {
    await stream.batch([step('insert into t values (?, 0)', [BigInt(key)])], { last: true });
    return 'committed';
  } catch (error) {
    return told(error);
  }
}

/** Two rows in a transaction that goes over several requests. */
async function writeTwo(streams: Streams, key: number, begin: string): Promise<Told> {
  await using stream = streams.openStream('write');
  try {
    await run(stream, begin);
    for (const part of [0n, 1n]) await run(stream, 'insert into t values (?, ?)', [BigInt(key), part]);
    await run(stream, 'commit');
    return 'committed';
  } catch (error) {
    return told(error);
  }
}

async function read(streams: Streams): Promise<void> {
  const stream = streams.openStream('read');
  const [outcome] = await stream.batch([step('select count(*), sum(key) from t')], { last: true });
  assert.equal(outcome?.kind, 'result');
}

test('property: whatever is killed whenever, what was answered is there once, and nothing half', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 25 }), { minLength: 1, maxLength: 4 }), fc.nat(1), async (pauses, kind) => {
      const { streams, file } = serve(t, { schema });
      let key = 0;
      let isOver = false;
      const answers = new Map<number, Told>();
      const client = async (write: (key: number) => Promise<Told>) => {
        while (!isOver) {
          const mine = key++;
          answers.set(mine, await write(mine));
        }
      };
      const clients = [
        ...Array.from({ length: 8 }, () => client((mine) => writeOne(streams, mine))),
        client((mine) => writeTwo(streams, mine, 'begin immediate')),
        client((mine) => writeTwo(streams, mine, kind === 0 ? 'begin' : 'begin immediate')),
        (async () => {
          while (!isOver) await read(streams).catch((error) => assert.equal(error.code, 'INTERNAL'));
        })(),
      ];
      await until(() => answers.size > 20, 'clients write');
      for (const pauseMs of pauses) {
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
        for (const { pid } of executors(process.pid)) process.kill(pid, 'SIGKILL');
        const before = answers.size;
        await until(() => answers.size > before + 10, 'clients write again');
      }
      isOver = true;
      await Promise.all(clients);
      await streams.close();
      const counts = new Map(
        file.keeper
          .prepare('select key, count(*) as parts from t group by key')
          .all()
          .map((row) => [Number(row['key']), Number(row['parts'])]),
      );
      for (const [mine, answer] of answers) {
        const parts = counts.get(mine) ?? 0;
        if (answer === 'committed') assert.ok(parts > 0, `${mine} was committed and is not there`);
        if (answer === 'refused') assert.equal(parts, 0, `${mine} was refused and is there`);
      }
      assert.equal(file.value('pragma integrity_check'), 'ok');
      assert.ok([...answers.values()].filter((answer) => answer === 'committed').length > 20);
    }),
    { numRuns: 4 },
  );
});

/** A server of its own that is killed: it starts a statement that does not end by itself, and says so. */
const SERVER = `
import { Streams } from ${JSON.stringify(new URL('../../src/server/streams/streams.ts', import.meta.url).href)};
import { systemClock } from ${JSON.stringify(new URL('../../src/runtime/system-clock.ts', import.meta.url).href)};
const nothing = { salt1: 0, salt2: 0, frames: 0 };
const gate = { admitWrite() {}, position: () => nothing, isSettled: () => true, settle: async () => {} };
const streams = new Streams({ name: 'x', path: process.argv[1], clock: systemClock, gate });
const statement = (sql) => ({ statement: { sql, positional: [], named: new Map(), wantRows: true }, condition: null });
const endless = 'with recursive n(x) as (values (1) union all select x + 1 from n) select count(*) from n';
for (const sql of ['insert into c values ((' + endless + '))', endless]) streams.openStream('write').batch([statement(sql)]);
for (let index = 0; index < 50; index++) streams.openStream('write').batch([statement('insert into c values (1)')]);
setInterval(() => { if (streams.executorCounts.busy > 1) console.log('running'); }, 20);
`;

test('when the server is killed its executors end at once, whatever they do, and write nothing more', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'speil-orphans-'));
  t.after(() => rmSync(folder, { recursive: true }));
  using file = new TestFile(join(folder, 'database.db'), schema);
  const server = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', SERVER, file.path],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await new Promise((resolve) => server.stdout.once('data', resolve));
  const orphans = executors(server.pid ?? 0);
  assert.deepEqual(orphans.map(({ role }) => role).toSorted(), ['pool', 'writer']);
  server.kill('SIGKILL');
  const isThere = ({ pid }: Executor) => {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  };
  await until(() => !orphans.some(isThere), 'the executors end');
  assert.equal(file.value('select count(*) from c'), 0);
});
