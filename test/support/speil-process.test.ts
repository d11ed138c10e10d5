import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { SpeilProcess, speil } from './speil-process.ts';
import { withDirectory } from './workload.ts';

/** A program in the place of Speil's, so that these tests are about the process alone. */
function programOf(directory: { file(name: string): string }, source: string): string {
  const path = directory.file('program.mjs');
  writeFileSync(path, source);
  return path;
}

test('a command runs to its end with its output and exit code', async () => {
  using directory = withDirectory();
  const program = programOf(
    directory,
    `process.stdin.resume(); process.stdin.on('end', () => {
       console.log(JSON.stringify({ event: 'args', args: process.argv.slice(2), node: process.versions.node, color: process.env.FORCE_COLOR, x: process.env.X }));
       console.error('Åse'); process.exitCode = 3; });`,
  );
  const result = await speil(['mirror', '--json'], { program, env: { X: '1' } });
  assert.deepEqual(result.events, [{ event: 'args', args: ['mirror', '--json'], node: process.versions.node, x: '1' }]);
  assert.deepEqual([result.code, result.signal, result.stderr], [3, null, 'Åse\n']);
});

test('a running command can be waited for, interrupted and killed', async () => {
  using directory = withDirectory();
  const program = programOf(
    directory,
    `process.on('SIGINT', () => { console.log('{"event":"interrupted"}'); process.exitCode = 130; clearInterval(t); });
     const t = setInterval(() => {}, 1000); console.log('{"event":"started"}'); console.error('ready at 5');`,
  );
  await using first = new SpeilProcess([], { program });
  await first.waitFor(({ event }) => event === 'started');
  assert.equal((await first.waitForText(/ready at (\d)/))[1], '5');
  first.interrupt();
  assert.equal((await first.exit).code, 130);
  assert.deepEqual(first.lines, ['{"event":"started"}', '{"event":"interrupted"}']);
  await assert.rejects(
    first.waitFor(({ event }) => event === 'never'),
    /no such event/,
  );
  await using second = new SpeilProcess([], { program });
  await second.waitFor(({ event }) => event === 'started');
  await second.kill();
  assert.equal((await second.exit).signal, 'SIGKILL');
});

test('a command that does not end is an error', async () => {
  using directory = withDirectory();
  const program = programOf(directory, `setInterval(() => {}, 1000); console.error('stuck');`);
  await assert.rejects(speil(['x'], { program, withinMs: 500 }), /speil x did not end within 500 ms/);
});
