import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { runCommandLine } from '../../src/cli/program.ts';
import type { Clock } from '../../src/core/clock.ts';
import { readConfig } from '../../src/runtime/config.ts';
import { openLineReader } from '../../src/runtime/line-reader.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { type SpeilServer, startServer } from '../../src/server.ts';
import { eventually } from '../support/workload.ts';

// Somebody types: real line editing, on streams in place of a terminal.

const state = mkdtempSync(join(tmpdir(), 'speil-prompt-'));
let server: SpeilServer;

before(async () => {
  server = await startServer({ data: join(state, 'data'), listen: { host: '127.0.0.1', port: 0 } });
  await server.createDatabase('shop');
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  rmSync(state, { recursive: true, force: true });
});

const CTRL_C = '\x03';
const CTRL_D = '\x04';
const UP = '\x1b[A';
const ENTER = '\r';

class Typist {
  readonly #keys = new PassThrough();
  readonly #ended = new AbortController();
  readonly exit: Promise<number>;
  stdout = '';
  stderr = '';

  constructor(words: readonly string[] = ['sql', 'shop'], clock: Clock = systemClock) {
    const output = new PassThrough();
    this.exit = runCommandLine(words, {
      stdout: { write: (text) => (this.stdout += text) },
      stderr: { write: (text) => (this.stderr += text) },
      readLines: (options) => openLineReader({ ...options, input: this.#keys, output }),
      variables: { SPEIL_SERVER: server.url, XDG_STATE_HOME: state },
      clock,
      version: '0.0.0',
      signal: this.#ended.signal,
      redact: (text) => text,
      readConfig,
    });
  }

  keys(text: string): void {
    this.#keys.write(text);
  }

  /** Types, and waits for what it brings. */
  async type(text: string, brings: RegExp): Promise<void> {
    this.stdout = '';
    this.stderr = '';
    this.keys(text);
    await eventually(() => assert.match(`${this.stdout}${this.stderr}`, brings));
  }
}

test('statements over several lines, commands, errors, transactions and the end', async () => {
  const typist = new Typist();
  await typist.type(
    `CREATE TABLE item (id INTEGER PRIMARY KEY,${ENTER}name TEXT);${ENTER}.tables${ENTER}`,
    /item\ttable/,
  );
  await typist.type(
    `.mode box${ENTER}INSERT INTO item (name) VALUES ('a');SELECT * FROM item;${ENTER}`,
    /│ {2}1 │ a {4}│/,
  );
  await typist.type(`.schema item${ENTER}`, /CREATE TABLE item \(id INTEGER PRIMARY KEY,\nname TEXT\);/);
  await typist.type(`SELECT * FROM missing;${ENTER}`, /no such table: missing .*\n {2}hint: \.tables/);
  await typist.type(`.mode table${ENTER}`, /The mode is box[\s\S]*box\|csv\|json\|plain/);
  await typist.type(`.unknown${ENTER}`, /There is no command \.unknown/);
  await typist.type(
    `BEGIN; UPDATE item SET name = 'b';${ENTER}ROLLBACK;${ENTER}SELECT name FROM item;${ENTER}`,
    /│ a {4}│/,
  );
  await typist.type(`.help${ENTER}`, /\.schema \[table\]/);
  typist.keys(CTRL_D);
  assert.equal(await typist.exit, 0);
});

test('what is typed is forgotten at Ctrl-C, and kept in a history that only its owner reads', async () => {
  const typist = new Typist();
  await typist.type(`SELECT 'never${ENTER}`, /^/);
  await typist.type(CTRL_C, /\n/);
  await typist.type(`SELECT 40 + 2;${ENTER}`, /42/);
  typist.keys(`.quit${ENTER}`);
  assert.equal(await typist.exit, 0);
  const file = join(state, 'speil', 'sql-history');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /^SELECT 40 \+ 2;$/m);
  const next = new Typist();
  await next.type(`${UP}${UP}${ENTER}`, /42/);
  next.keys(CTRL_D);
  assert.equal(await next.exit, 0);
});

async function statementsSoFar(): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.url))).text();
  return Number(/^speil_statement_duration_seconds_count\{database="shop"\} (\d+)$/m.exec(text)?.[1]);
}

test('an open transaction is kept while somebody thinks', async () => {
  const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) };
  const typist = new Typist(['sql', 'shop'], hurried);
  await typist.type(`BEGIN IMMEDIATE; CREATE TABLE thought (x);${ENTER}SELECT 'begun';${ENTER}`, /begun/);
  const before = await statementsSoFar();
  await eventually(async () => assert.ok((await statementsSoFar()) > before + 3));
  await typist.type(`COMMIT; SELECT count(*) FROM sqlite_schema WHERE name = 'thought';${ENTER}`, /1/);
  typist.keys(CTRL_D);
  assert.equal(await typist.exit, 0);
});

test('Ctrl-C cancels what runs, and the prompt goes on', async () => {
  const typist = new Typist();
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;';
  await typist.type(`BEGIN; CREATE TABLE gone (x);${ENTER}SELECT 'begun';${ENTER}`, /begun/);
  typist.keys(`${endless}${ENTER}`);
  const running = async () => (await server.database('shop')).execute('SELECT 1');
  await running();
  await typist.type(CTRL_C, /Cancelled\. The transaction was rolled back\./);
  await typist.type(`SELECT count(*) FROM sqlite_schema WHERE name = 'gone';${ENTER}`, /0/);
  typist.keys(CTRL_D);
  assert.equal(await typist.exit, 0);
});

test('a database that there is none of is said before anybody types', async () => {
  const typist = new Typist(['sql', 'nowhere']);
  assert.equal(await typist.exit, 1);
  assert.match(typist.stderr, /there is no database nowhere/);
});
