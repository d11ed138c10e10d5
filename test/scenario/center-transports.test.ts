import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type Center, startCenter } from '../../src/center.ts';
import type { CallName } from '../../src/client/exchange.ts';
import { createKeyPair } from '../../src/client/trust/keys.ts';
import type { ClientTransport, Run } from '../../src/operation-center/model.ts';
import { prepareCenterDatabase } from '../support/center-template.ts';
import { assertSameRows } from '../support/dump.ts';
import { RecordedClient, type TransportKind } from '../support/recorded-client.ts';
import { withDirectory } from '../support/workload.ts';

// One center with its API, and a real mirror client for each transport: what reaches them, in which order.

const KINDS: readonly TransportKind[] = ['http', 'dialled', 'soap'];
const TABLES = ['person', 'project', 'sale'];
const SHOP = TABLES.map(
  (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, note TEXT);
    INSERT INTO ${table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
      SELECT i, 'row ' || i || ' of the table ${table}' FROM n;`,
).join('\n');
const WAIT_SECONDS = 15;
/** Nothing is due again while the tests run. */
const EVERY_MS = 5 * 24 * 3_600_000;

const COPY: readonly CallName[] = ['wipe', 'row-data', 'wipe', 'row-data', 'wipe', 'row-data'];
const FIRST: readonly CallName[] = ['authenticate', 'table-schema', ...COPY, 'replication-completed'];
const UNCHANGED: readonly CallName[] = ['authenticate', 'table-schema', 'replication-completed'];
const CHANGED: readonly CallName[] = ['authenticate', 'table-schema', 'row-data', 'replication-completed'];

const directory = withDirectory('speil-transports-');
const data = directory.file('center');
const source = directory.file('source.db');
const clients: RecordedClient[] = [];
let center: Center;

before(async () => {
  mkdirSync(directory.file('mirrors'));
  change(`PRAGMA journal_mode = WAL; ${SHOP}`);
  await prepareCenterDatabase(data);
  await start(0);
  const trust = { publicKey: key('center.pub'), rsaPublicKey: key('center.rsa.pub') };
  await api('POST', '/v1/tenants', { name: 'acme', source: `sqlite:${source}` });
  await api('POST', '/v1/tenants/acme/pause');
  for (const kind of KINDS) {
    const client = await RecordedClient.start(kind, directory.file('mirrors'), { url: center.url, ...trust });
    clients.push(client);
    await addMirror('acme', client.application, client.publicKey, client.transport);
  }
});

after(async () => {
  for (const client of clients) await client[Symbol.asyncDispose]();
  await center?.[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

const key = (name: string): string => readFileSync(`${data}/${name}`, 'utf8');

async function start(port: number): Promise<void> {
  center = await startCenter({ data, listen: { host: '127.0.0.1', port } });
}

function change(sql: string): void {
  using database = new DatabaseSync(source, { timeout: 5_000 });
  database.exec(sql);
}

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { authorization: `Bearer ${readFileSync(center.tokenFile, 'utf8').trim()}` };
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(`${center.url}${path}`, { method, headers: { ...headers, ...type }, ...json });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

const addMirror = (tenant: string, application: string, publicKey: string, transport: ClientTransport) =>
  api('POST', `/v1/tenants/${tenant}/mirrors`, { application, publicKey, transport, everyMs: EVERY_MS });

/** The run after another one, or the first one that there is, when it has ended. */
async function ended(tenant: string, application: string, lastRunId: string | null): Promise<Run> {
  const after = lastRunId === null ? '' : `after=${lastRunId}&`;
  const path = `/v1/tenants/${tenant}/mirrors/${application}/next-run?${after}waitSeconds=${WAIT_SECONDS}`;
  const run = await api<Run | null>('GET', path);
  return run ?? assert.fail(`no cycle of ${application} within ${WAIT_SECONDS} s`);
}

/** A cycle that is asked for; answers how it ended. */
async function cycle({ application }: RecordedClient, tenant = 'acme'): Promise<Run> {
  const path = `/v1/tenants/${tenant}/mirrors/${application}/run`;
  const { lastRunId } = await api<{ readonly lastRunId: string | null }>('POST', path);
  return await ended(tenant, application, lastRunId);
}

/** A cycle of each mirror, one after another. */
async function cycles(tenant?: string): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for (const client of clients) runs.push(await cycle(client, tenant));
  return runs;
}

/** Every cycle completed, with these calls at every client, and every mirror equals the source. */
async function assertCycles(runs: readonly Run[], calls: readonly CallName[]): Promise<void> {
  for (const { application, status, error } of runs)
    assert.equal(status, 'completed', JSON.stringify([application, error]));
  for (const client of clients) {
    assert.deepEqual(client.takeCalls('acme'), calls, client.kind);
    const adapted = client.adapted.splice(0).toSorted((a, b) => a.table.localeCompare(b.table));
    assert.deepEqual(
      adapted,
      TABLES.map((table) => ({ table, after: 'authenticate' })),
      client.kind,
    );
    await assertSameRows(`sqlite:${source}`, client.mirror('acme'), { allowExtraTables: true });
  }
}

const clientOf = (kind: TransportKind): RecordedClient =>
  clients.find((client) => client.kind === kind) ?? assert.fail(kind);

test('the first cycle: one authentication, all tables in one call, each wiped and filled, and that it is complete', async () => {
  await clientOf('dialled').dialler?.event('connected');
  await api('POST', '/v1/tenants/acme/resume');
  const runs = await Promise.all(clients.map(({ application }) => ended('acme', application, null)));
  await assertCycles(runs, FIRST);
});

test('a cycle without changes sends no rows, one with changes wipes nothing', async () => {
  await assertCycles(await cycles(), UNCHANGED);
  change(`UPDATE person SET note = 'changed' WHERE id < 10; DELETE FROM project WHERE id = 7;
    INSERT INTO sale VALUES (1000, NULL)`);
  await assertCycles(await cycles(), CHANGED);
});

test('a cycle that fails does not tell that it is complete, and the next one brings what it did not', async () => {
  change("UPDATE sale SET note = 'while the disk is full' WHERE id = 3");
  for (const client of clients) client.isFull = true;
  const runs = await cycles();
  for (const client of clients) {
    client.isFull = false;
    client.adapted.length = 0;
    assert.deepEqual(client.takeCalls('acme'), ['authenticate', 'table-schema', 'row-data'], client.kind);
  }
  for (const run of runs) {
    assert.equal(run.status, 'failed', run.application);
    assert.match(JSON.stringify([run.error, run.report]), /the disk of the mirror is full/, run.application);
  }
  await assertCycles(await cycles(), CHANGED);
});

test('a dialled client that comes anew, and a center that starts anew, go on where they were', async () => {
  const dialled = clientOf('dialled');
  await dialled.dial();
  await dialled.dialler?.event('connected');
  change('DELETE FROM person WHERE id > 290');
  await assertCycles(await cycles(), CHANGED);
  await center[Symbol.asyncDispose]();
  change("INSERT INTO sale VALUES (2000, 'while no center was there')");
  await start(Number(new URL(center.url).port));
  await dialled.dialler?.event('connected', 1);
  await assertCycles(await cycles(), CHANGED);
});

test('a client that does not prove to have the key of its mirror is told nothing of the source', async () => {
  const keys = { ed25519: createKeyPair('ed25519').publicPem, rsa: createKeyPair('rsa').publicPem };
  await api('POST', '/v1/tenants', { name: 'other', source: `sqlite:${source}` });
  for (const { application, kind, transport } of clients) {
    await addMirror('other', application, kind === 'soap' ? keys.rsa : keys.ed25519, transport);
  }
  for (const { application, status, error } of await cycles('other')) {
    assert.equal(status, 'failed', application);
    const code = application === clientOf('dialled').application ? 'CLIENT_NOT_CONNECTED' : 'TRUST_REFUSED';
    assert.equal(error?.code, code, application);
  }
  for (const client of clients) {
    const reached = client.kind === 'dialled' ? [] : ['authenticate'];
    assert.deepEqual([...new Set(client.takeCalls('other'))], reached, client.kind);
    assert.deepEqual(client.adapted, [], client.kind);
  }
});

test('a client that dialled in with the key of its mirror, and answers with another, is told nothing either', async () => {
  const dialled = clientOf('dialled');
  await dialled.dial(createKeyPair('ed25519').privatePem);
  await dialled.dialler?.event('connected');
  const { id, status, error } = await cycle(dialled);
  assert.deepEqual([status, error?.code], ['failed', 'TRUST_REFUSED']);
  assert.deepEqual(dialled.takeCalls('acme'), ['authenticate']);
  await dialled.dial();
  await dialled.dialler?.event('connected');
  // Nobody asks for it: a cycle that failed is due as soon as its client is there.
  assert.equal((await ended('acme', dialled.application, id)).status, 'completed');
  assert.deepEqual(dialled.takeCalls('acme'), UNCHANGED);
});
