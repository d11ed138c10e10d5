import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { speil } from '../support/speil-process.ts';
import { withDirectory } from '../support/workload.ts';

const directory = withDirectory();
after(() => directory[Symbol.dispose]());
const inside = (name: string) => join(directory.path, name);
writeFileSync(inside('not-a-database.db'), 'this is a text and no database at all, however long one makes it');
writeFileSync(inside('config.json'), '{ "evry": "20m" }');
writeFileSync(inside('rhythm.json'), '{ "every": "soon" }');

/** What is typed, and what the message and its hint must say. All are of usage or configuration: exit code 2. */
const cases: readonly (readonly [readonly string[], RegExp, RegExp])[] = [
  [['miror', 'a.db', 'b.db'], /Unknown command 'miror'.*mean mirror/, /speil help/],
  [['help', 'verfy'], /Unknown command 'verfy'.*mean verify/, /speil help/],
  [['mirror', 'a.db'], /Missing required argument 'mirror'/, /speil help mirror/],
  [['mirror', 'a.db', 'b.db', 'c.db'], /Too many arguments/, /speil help mirror/],
  [['mirror', 'a.db', 'postgres://u:hem', 'melig@db/crm'], /Too many arguments.*got 3\. /, /speil help mirror/],
  [['postgres://u:hem/melig@db/crm'], /Unknown command/, /speil help/],
  [['mirror', 'a.db', 'b.db', '--folow'], /Unknown option '--folow'.*mean --follow/, /speil help mirror/],
  [['mirror', 'a.db', 'b.db', '--every', 'often'], /'often' is invalid.*20m, 90s, 1h or 500ms/, /speil help mirror/],
  [['mirror', 'a.db', 'b.db', '--batch-size', '10'], /1,000 to 64,000,000/, /speil help mirror/],
  [['mirror', 'a.db', 'b.db', '--wipe', 'all'], /shadow or in-place/, /speil help mirror/],
  [['mirror', 'a.db', 'b.db', '--every', '1h', '--follow'], /exclude each other/, /--every .* or --follow/],
  [['mirror', 'a.db', 'b.db', '--config', inside('config.json')], /"evry" that does not exist/, /mean "every"/],
  [['mirror', 'a.db', 'b.db', '--config', inside('rhythm.json')], /"every" in .* is "soon"/, /20m/],
  [['mirror', 'a.db', 'b.db', '--config', inside('none.json')], /none\.json cannot be read/, /--config/],
  [['mirror', 'mysql://u:hemmelig@db/crm', 'b.db'], /"mysql:" is not a kind/, /postgres:\/\//],
  [['mirror', 'postgres://u:hem/melig@db/crm', 'b.db'], /cannot be read/, /%2F/],
  [['mirror', inside('missing.db'), inside('mirror.db')], /missing\.db/, /./],
  [['mirror', inside('not-a-database.db'), inside('mirror.db')], /not-a-database\.db/, /./],
  [['verify', inside('missing.db'), inside('mirror.db')], /missing\.db/, /./],
  [['status', inside('missing.db')], /missing\.db/, /./],
  [['untrack', 'crm'], /"crm" is not the address/, /sqlite:crm/],
];

for (const [typed, message, hint] of cases) {
  test(`speil ${typed.join(' ').replaceAll(directory.path, '…')}: exit code 2 and what to type`, async () => {
    const plain = await speil(typed);
    const [first = '', second = ''] = plain.stderr.split('\n');
    assert.deepEqual([plain.code, plain.stdout], [2, '']);
    assert.match(first, /^error: /);
    assert.match(first, message);
    assert.match(second, /^ {2}hint: /);
    assert.match(second, hint);
    assert.doesNotMatch(plain.stderr, /hemmelig|melig@/);
  });
}

test('with --json the error is an event, too', async () => {
  const { code, events, stderr } = await speil(['mirror', 'mysql://db/crm', 'b.db', '--json']);
  assert.equal(code, 2);
  assert.deepEqual(
    events.map(({ event, code: name }) => [event, name]),
    [['error', 'UNKNOWN_SCHEME']],
  );
  assert.match(stderr, /^error: /);
});

test('a password is in no output, whatever goes wrong with the server', async () => {
  const url = 'postgres://ola:hemmelig@127.0.0.1:1/crm';
  const { code, stdout, stderr, events } = await speil(['mirror', url, inside('mirror.db'), '--json']);
  assert.equal(code, 1);
  assert.doesNotMatch(stdout + stderr, /hemmelig/);
  assert.match(stderr, /127\.0\.0\.1:1/);
  assert.match(stderr, /hint: /);
  assert.partialDeepStrictEqual(events.at(-1), { event: 'cycle', status: 'failed', tables: [] });
});
