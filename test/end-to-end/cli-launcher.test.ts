import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { withDirectory } from '../support/workload.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/speil.js', import.meta.url));
/** Makes a Node say that it is an old one; the Node that it starts does not inherit this. */
const OLD = ['--import', 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.1.0"})'];

/** A program that tells how it was called and ends with 7 when it is interrupted. */
const PROGRAM = `export async function main() {
  if (process.argv[2] === 'wait') {
    process.on('SIGTERM', () => process.exit(7));
    setInterval(() => {}, 1000);
  }
  process.exitCode = 3;
  process.stdout.write(JSON.stringify({ args: process.argv.slice(2), node: process.versions.node }) + '\\n');
}
`;

function package_(directory: string, entry: string): string {
  mkdirSync(join(directory, 'bin'), { recursive: true });
  mkdirSync(join(directory, entry, '..'), { recursive: true });
  cpSync(LAUNCHER, join(directory, 'bin/speil.js'));
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(directory, entry), PROGRAM);
  return join(directory, 'bin/speil.js');
}

function pinNode(directory: string): void {
  const node = join(directory, 'node_modules/node/bin/node');
  mkdirSync(join(node, '..'), { recursive: true });
  writeFileSync(node, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`);
  chmodSync(node, 0o755);
}

function launch(args: readonly string[]) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    said.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said.stderr += chunk.toString();
  });
  return { child, said, end: once(child, 'close') as Promise<[number | null, string | null]> };
}

for (const [what, entry] of [
  ['a checkout runs its source', 'src/cli/main.ts'],
  ['an installed package runs its build', 'dist/cli/main.js'],
] as const) {
  test(what, async () => {
    using directory = withDirectory();
    const { said, end } = launch([package_(directory.path, entry), 'status', 'a b']);
    assert.deepEqual((await end)[0], 3);
    assert.deepEqual(JSON.parse(said.stdout).args, ['status', 'a b']);
  });
}

test('an old Node starts the Node of the checkout, and passes on arguments and exit code', async () => {
  using directory = withDirectory();
  const program = package_(directory.path, 'src/cli/main.ts');
  pinNode(directory.path);
  const { said, end } = launch([...OLD, program, 'mirror', '--x', '*']);
  assert.deepEqual((await end)[0], 3);
  assert.deepEqual(JSON.parse(said.stdout), { args: ['mirror', '--x', '*'], node: process.versions.node });
});

test('an old Node passes signals on', async () => {
  using directory = withDirectory();
  const program = package_(directory.path, 'src/cli/main.ts');
  pinNode(directory.path);
  const { child, end } = launch([...OLD, program, 'wait']);
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  assert.deepEqual((await end)[0], 7);
});

test('an old Node without another says what to do', async () => {
  using directory = withDirectory();
  const { said, end } = launch([...OLD, package_(directory.path, 'src/cli/main.ts')]);
  assert.deepEqual((await end)[0], 2);
  assert.match(said.stderr, /^error: Speil needs Node 24 or newer; .*\n {2}hint: Install Node 24 .* or type npm ci/);
});

test('a checkout whose packages are not installed says what to type', async () => {
  using directory = withDirectory();
  const program = package_(directory.path, 'src/cli/main.ts');
  writeFileSync(join(directory.path, 'src/cli/main.ts'), "import 'commander-that-is-not-there';");
  const { said, end } = launch([program]);
  assert.deepEqual((await end)[0], 2);
  assert.match(said.stderr, /^error: .*commander-that-is-not-there.*\n {2}hint: Type npm ci in this checkout\.\n$/s);
});
