import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { speil } from '../support/speil-process.ts';

const COMMANDS = ['mirror', 'verify', 'status', 'resync', 'untrack'];

test('speil alone shows what there is, on standard output', async () => {
  const alone = await speil([]);
  assert.deepEqual([alone.code, alone.stderr], [0, '']);
  for (const command of COMMANDS) assert.match(alone.stdout, new RegExp(`^  ${command} `, 'm'));
  assert.equal((await speil(['help'])).stdout, alone.stdout);
  assert.equal((await speil(['--help'])).stdout, alone.stdout);
});

for (const command of COMMANDS) {
  test(`speil help ${command} has examples of ${command}, and is as it was agreed`, async (t) => {
    const help = await speil(['help', command]);
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.match(help.stdout, new RegExp(`Examples:\\n  speil ${command} `));
    assert.equal((await speil([command, '--help'])).stdout, help.stdout);
    t.assert.snapshot(help.stdout, { serializers: [(text: string) => text] });
  });
}

test('speil --version is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const { code, stdout } = await speil(['--version']);
  assert.deepEqual([code, stdout], [0, `${version}\n`]);
});
