import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../', import.meta.url));
/** npm and the launcher find this Node first, as they do after `npm ci`. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };

let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'speil-package-'));
  const packed = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: project, env });
  const [{ filename }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('[\n'))) as [{ filename: string }];
  await writeFile(join(folder, 'package.json'), '{ "type": "module", "private": true }');
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)], {
    cwd: folder,
    env,
  });
  const database = new DatabaseSync(join(folder, 'shop.db'));
  database.exec(
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES (1, 'lamp'), (2, 'chair')",
  );
  database.close();
});

after(() => rm(folder, { recursive: true, force: true }));

test('the packed package mirrors from the command line', async () => {
  const speil = join(folder, 'node_modules', '.bin', 'speil');
  const { stdout } = await run(speil, ['mirror', 'shop.db', 'mirror.db', '--json'], { cwd: folder, env });
  const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  assert.equal(last.status, 'completed');
  assert.deepEqual([last.tables[0].table, last.tables[0].inserted], ['item', 2]);
});

test('the packed package is a typed library', async () => {
  const program = `
    import { mirror, verify, SpeilError, type CycleReport, type TaskEvent } from 'speil';
    const report: CycleReport = await mirror({ source: 'shop.db', mirror: 'library.db', onEvent: (event: TaskEvent) => void event });
    const { identical } = await verify({ source: 'shop.db', mirror: 'library.db' });
    // @ts-expect-error a mirror needs both ends
    const wrong = () => mirror({ source: 'shop.db' });
    console.log(report.status, identical, SpeilError.name, typeof wrong);
  `;
  await writeFile(join(folder, 'program.ts'), program);
  const { stdout } = await run(process.execPath, ['program.ts'], { cwd: folder, env });
  assert.equal(stdout.trim(), 'completed true SpeilError function');
  const tsc = join(project, 'node_modules', '.bin', 'tsc');
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext', '--types', 'node'];
  const typeRoots = ['--typeRoots', join(project, 'node_modules', '@types')];
  await run(tsc, [...options, ...typeRoots, 'program.ts'], { cwd: folder, env });
});
