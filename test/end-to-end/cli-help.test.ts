import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { speilHere } from '../support/speil-here.ts';
import { speil } from '../support/speil-process.ts';

const GROUPS = ['center', 'client', 'keys', 'database', 'journal'];
const TASKS = ['mirror', 'verify', 'status', 'resync', 'untrack'];
const COMMANDS = [...TASKS, 'server', 'sql', 'backup', 'restore', ...GROUPS];

const helpOf = (command: string) => speilHere(['help', ...command.split(' ')]);

/** The commands that a page of help lists. */
const listed = (page: string): readonly string[] =>
  [...(/^Commands:\n((?: .*\n)+)/m.exec(page)?.[1] ?? '').matchAll(/^ {2}([a-z-]+) /gm)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'help');

/** All commands, those within groups too. */
async function commandsBelow(path: string): Promise<readonly string[]> {
  const names = listed((await helpOf(path)).stdout);
  if (names.length === 0) return [path];
  return [path, ...(await Promise.all(names.map((name) => commandsBelow(`${path} ${name}`)))).flat()];
}

test('speil alone shows what there is, on standard output', async () => {
  const alone = await speil([]);
  assert.deepEqual([alone.code, alone.stderr], [0, '']);
  assert.deepEqual(listed(alone.stdout).toSorted(), COMMANDS.toSorted());
  assert.equal((await speil(['help'])).stdout, alone.stdout);
  assert.equal((await speil(['--help'])).stdout, alone.stdout);
  assert.equal((await speilHere([])).stdout, alone.stdout);
});

for (const group of GROUPS) {
  test(`speil ${group} alone shows what it has, on standard output`, async () => {
    const alone = await speil([group]);
    assert.deepEqual([alone.code, alone.stderr], [0, '']);
    assert.equal((await helpOf(group)).stdout, alone.stdout);
    const unknown = await speilHere([group, 'nothing']);
    assert.deepEqual([unknown.code, /Type: speil help/.test(unknown.stderr)], [2, true]);
  });
}

for (const command of (await Promise.all(COMMANDS.map(commandsBelow))).flat()) {
  test(`speil help ${command} has examples of ${command}, and is as it was agreed`, async (t) => {
    const help = await helpOf(command);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.match(help.stdout, new RegExp(`Examples:\\n  speil ${command} `));
    assert.equal((await speilHere([...command.split(' '), '--help'])).stdout, help.stdout);
    t.assert.snapshot(help.stdout, { serializers: [(text: string) => text] });
  });
}

test('speil --version is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { code, stdout } = await speil(['--version']);
  assert.deepEqual([code, stdout], [0, `${version}\n`]);
});
