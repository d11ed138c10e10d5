import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type Client, createClient } from '@libsql/client';
import { checkJournal } from '../../src/journal/inspect-journal.ts';
import { systemDisk } from '../../src/runtime/system-disk.ts';
import { startServer } from '../../src/server.ts';
import { cutPower } from '../support/unsynced-disk.ts';
import { SeededRandom } from '../support/workload.ts';

const ACCOUNTS = 20;
const TOTAL = ACCOUNTS * 1_000;
const CLERKS = 8;
const STARTED_WITHIN_MS = 60_000;

/** A server in a process of its own, on a folder that outlives it. */
class KilledServer {
  readonly child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
  }

  static async start(data: string, log: string): Promise<KilledServer> {
    const child = fork(new URL('../support/server-child.ts', import.meta.url), [data, log], { stdio: 'pipe' });
    const errors: string[] = [];
    child.stderr?.on('data', (text: Buffer) => errors.push(String(text)));
    const ended = once(child, 'exit').then(() => Promise.reject(new Error(`the server ended: ${errors.join('')}`)));
    ended.catch(() => {});
    const [{ url }] = (await Promise.race([once(child, 'message'), ended])) as [{ url: string }];
    return new KilledServer(child, url);
  }

  async kill(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}

type Bank = { readonly told: Set<string>; lastId: number };

/** Transfers until the server is gone: every id in `told` was acknowledged. */
async function work(client: Client, bank: Bank, unit: () => number): Promise<void> {
  try {
    for (;;) {
      const id = `t${bank.lastId++}`;
      await transfer(client, id, unit);
      bank.told.add(id);
    }
  } catch {
    // The server was killed: what was not answered may be there or not.
  }
}

async function transfer(client: Client, id: string, unit: () => number): Promise<void> {
  const [from, to] = [Math.floor(unit() * ACCOUNTS), Math.floor(unit() * ACCOUNTS)];
  const amount = Math.floor(unit() * 10);
  const note = 'x'.repeat(Math.floor(unit() ** 4 * 20_000));
  const steps = [
    { sql: 'UPDATE account SET balance = balance - ? WHERE id = ?', args: [amount, from] },
    { sql: 'UPDATE account SET balance = balance + ? WHERE id = ?', args: [amount, to] },
    { sql: 'INSERT INTO transfer VALUES (?, ?)', args: [id, note] },
  ];
  if (unit() < 0.7) await client.batch(steps, 'write');
  else await stepByStep(client, steps);
}

async function stepByStep(client: Client, steps: readonly { sql: string; args: (string | number)[] }[]): Promise<void> {
  const transaction = await client.transaction('write');
  try {
    for (const step of steps) await transaction.execute(step);
    await transaction.commit();
  } finally {
    transaction.close();
  }
}

const SCHEMA = `CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
  CREATE TABLE transfer (id TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID`;

async function createBank(data: string): Promise<void> {
  await using server = await startServer({ data, listen: { host: '127.0.0.1', port: 0 } });
  const database = await server.createDatabase('bank');
  for (const sql of SCHEMA.split(';')) await database.execute(sql);
  for (let id = 0; id < ACCOUNTS; id++) await database.execute('INSERT INTO account VALUES (?, 1000)', [id]);
}

/** Kills the server under load, takes back some of what was not synced, starts it again, and compares with what was told. */
export function testKills(kills: number): void {
  test(`killed ${kills} times under load, with unsynced writes lost, a server loses no acknowledged commit`, async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'speil-kills-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    const seed = Number(process.env['SPEIL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    t.diagnostic(`SPEIL_SEED=${seed}`);
    const random = new SeededRandom(seed);
    const unit = () => random.unit();
    const data = join(root, 'data');
    await createBank(data);
    const bank: Bank = { told: new Set(), lastId: 0 };
    for (let n = 1; n <= kills; n++) {
      const log = join(root, `log-${n}`);
      const server = await KilledServer.start(data, log);
      await workUntilKilled(server, bank, unit);
      cutPower(log, [join(data, 'bank', 'database.db')], unit);
      await judge(data, bank, `after kill ${n}`);
    }
    t.diagnostic(`${bank.told.size} transfers acknowledged`);
    assert.ok(bank.told.size > kills, 'there was something to lose');
  });
}

async function workUntilKilled(server: KilledServer, bank: Bank, unit: () => number): Promise<void> {
  const client = createClient({ url: `${server.url}/bank/` });
  const before = bank.told.size;
  const working = Promise.all(Array.from({ length: CLERKS }, () => work(client, bank, unit)));
  const atLeast = before + 1 + Math.floor(unit() * 60);
  const deadline = Date.now() + STARTED_WITHIN_MS;
  while (bank.told.size < atLeast && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.ok(bank.told.size >= atLeast, 'the server is up and serves');
  await server.kill();
  await working;
  client.close();
}

async function judge(data: string, { told }: Bank, when: string): Promise<void> {
  const journal = await checkJournal({ disk: systemDisk, folder: join(data, 'bank', 'journal') });
  assert.deepEqual(
    journal.findings.filter(({ kind }) => kind === 'damage'),
    [],
    when,
  );
  {
    await using server = await startServer({ data, listen: { host: '127.0.0.1', port: 0 } });
    await server.database('bank').catch((error: unknown) => assert.fail(`${when}: ${String(error)}`));
  }
  using plain = new DatabaseSync(join(data, 'bank', 'database.db'));
  const there = new Set(
    plain
      .prepare('SELECT id FROM transfer')
      .all()
      .map(({ id }) => String(id)),
  );
  const lost = [...told].filter((id) => !there.has(id));
  assert.deepEqual(lost, [], `${when}: acknowledged and lost`);
  assert.deepEqual({ ...plain.prepare('SELECT sum(balance) AS total FROM account').get() }, { total: TOTAL }, when);
  assert.deepEqual({ ...plain.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' }, when);
}
