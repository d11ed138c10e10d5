import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { speilHere } from './support/speil-here.ts';
import { textOf } from './support/tidy/document-checks.ts';
import { PROJECT_ROOT, projectFiles } from './support/tidy/project-files.ts';
import { namesIn, quotedCommands, workingCommands } from './support/tidy/quoted-commands.ts';

const project = projectFiles();
const pages = project.filter(({ path }) => path.endsWith('.md') && path !== 'CHANGELOG.md');
const scripts: readonly string[] = Object.keys(JSON.parse(textOf(project, 'package.json')).scripts);

const helpPages = new Map<string, string | null>();

const help = (words: readonly string[]): string | null => helpPages.get(words.join(' ')) ?? null;

async function readHelp(words: readonly string[]): Promise<void> {
  const { code, stdout } = await speilHere(words.length === 0 ? ['--help'] : ['help', ...words]);
  helpPages.set(words.join(' '), code === 0 ? stdout : null);
}

test('the commands that README and docs quote exist, with the options that they quote', async () => {
  const commands = pages.flatMap(quotedCommands);
  for (const { words } of commands) await readHelp(namesIn(words.slice(words[1] === 'help' ? 2 : 1)));
  assert.deepEqual(
    workingCommands(commands, { scripts, help, exists: (path) => existsSync(join(PROJECT_ROOT, path)) }),
    [],
  );
});

test('README quotes the two commands of a newcomer, and CI runs the second word by word', () => {
  const readme = textOf(project, 'README.md')
    .split('\n')
    .map((line) => line.trim());
  const begins = (command: string) => readme.some((line) => line === command || line.startsWith(`${command} `));
  assert.ok(begins('npm ci && npm run demo'), 'npm ci && npm run demo');
  assert.ok(begins('npm ci && npm test'), 'npm ci && npm test');
  assert.ok(/^\s*npm ci && npm test$/m.test(textOf(project, '.ci/run')));
});

test('quoted commands that do not work are found', () => {
  const text = `Type \`speil center tenant ad x\`, \`npm run nothing\` or \`speil mirror --sped a b\`; \`speil status\` and \`speil …\` are fine.
\`\`\`sh
$ npm ci && npm run demo     # speil never
PGHOST=x npx speil mirror a.db b.db \\
  --every 20m --evry | node demo/gone.ts
npx speil mirrr --json
speil --version
\`\`\`
\`\`\`ts
speil('--what');
\`\`\`
    npm test`;
  const helps: Readonly<Record<string, string>> = {
    '': 'Usage: speil [options] [command]\n--version',
    mirror: 'Usage: speil mirror [options]\n--every <duration>',
    status: 'Usage: speil status [options]',
    'center tenant ad x': 'Usage: speil center tenant [options] [command]\nCommands:\n  add',
  };
  const known = {
    scripts: ['demo'],
    help: (words: readonly string[]) => helps[words.join(' ')] ?? null,
    exists: () => false,
  };
  assert.deepEqual(workingCommands(quotedCommands({ path: 'README.md', text }), known), [
    'README.md: `speil mirror a.db b.db --every 20m --evry`: there is no --evry',
    'README.md: `node demo/gone.ts`: there is no demo/gone.ts',
    'README.md: `speil mirrr --json`: there is no command mirrr',
    'README.md: `npm test`: there is no script test',
    'README.md: `speil center tenant ad x`: there is no command ad',
    'README.md: `npm run nothing`: there is no script nothing',
    'README.md: `speil mirror --sped a b`: there is no --sped',
  ]);
});
