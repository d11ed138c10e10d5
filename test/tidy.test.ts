import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERROR_CODES } from '../src/core/error.ts';
import { documentedErrors, GUARANTEES, resolvingLinks, testedGuarantees } from './support/tidy/document-checks.ts';
import { PROJECT_ROOT, projectFiles } from './support/tidy/project-files.ts';
import * as checks from './support/tidy/source-checks.ts';
import { codeOnly, functionsOf, importsOf, type ProjectFile } from './support/tidy/source-text.ts';

const project = projectFiles();

const clean = (findings: checks.Findings) => assert.deepEqual(findings, []);

const file = (path: string, text: string): ProjectFile => ({ path, text });

/** A made-up file must be objected to in exactly these words. */
const objects = (
  check: (files: readonly ProjectFile[]) => checks.Findings,
  path: string,
  text: string,
  pattern: RegExp,
) => {
  const findings = check([file(path, text)]);
  assert.equal(findings.length, 1, `${path}: ${text} gave ${JSON.stringify(findings)}`);
  assert.match(findings[0] ?? '', pattern);
};

const accepts = (check: (files: readonly ProjectFile[]) => checks.Findings, path: string, text: string) =>
  clean(check([file(path, text)]));

test('the whole project is looked at', () => {
  const paths = project.map(({ path }) => path);
  for (const path of ['src/core/error.ts', 'test/tidy.test.ts', 'package.json', '.ci/run'])
    assert.ok(paths.includes(path), path);
  assert.ok(paths.every((path) => !path.includes('node_modules')));
});

test('imports go in one direction', () => {
  clean(checks.importDirections(project));
});

test('import directions: what is objected to', () => {
  const from = (path: string, target: string) => [path, `import type { A } from '${target}';`] as const;
  objects(checks.importDirections, ...from('src/core/a.ts', '../database/b.ts'), /core must not know database/);
  objects(checks.importDirections, ...from('src/database/a.ts', '../task/b.ts'), /database must not know task/);
  objects(checks.importDirections, ...from('src/verification/a.ts', '../task/b.ts'), /verification must not know task/);
  objects(checks.importDirections, ...from('src/task/a.ts', '../client/b.ts'), /task must not know client/);
  objects(checks.importDirections, ...from('src/task/a.ts', '../database/sqlite/b.ts'), /a database in particular/);
  objects(checks.importDirections, ...from('src/database/sqlite/a.ts', '../postgres/b.ts'), /do not know each other/);
  objects(checks.importDirections, ...from('src/client/a.ts', '../runtime/b.ts'), /client must not know runtime/);
  objects(checks.importDirections, ...from('src/mirror.ts', './cli/main.ts'), /entry must not know cli/);
  objects(checks.importDirections, ...from('src/cli/a.ts', '../../test/support/b.ts'), /not part of src/);
  objects(checks.importDirections, ...from('src/cli/a.ts', './b.test.ts'), /it is a test/);
  objects(checks.importDirections, ...from('src/misc/a.ts', './b.ts'), /no rule for src\/misc/);
  objects(checks.importDirections, 'src/core/a.ts', `const x = await import("../cli/x.ts");`, /core must not know cli/);
  objects(checks.importDirections, 'src/core/a.ts', `export * from '../cli/x.ts';`, /core must not know cli/);
});

test('import directions: what is fine', () => {
  accepts(
    checks.importDirections,
    'src/database/open.ts',
    `import { a } from './sqlite/a.ts'; import { b } from './postgres/b.ts';`,
  );
  accepts(
    checks.importDirections,
    'src/cli/commands/a.ts',
    `import { a } from '../../mirror.ts'; import pg from 'pg';`,
  );
  accepts(checks.importDirections, 'src/core/a.test.ts', `import { a } from '../../test/support/b.ts';`);
  accepts(checks.importDirections, 'src/core/a.ts', `// from '../cli/x.ts'\nimport type { A } from './b.ts';`);
});

test('time and chance come in by src/runtime', () => {
  clean(checks.clockRule(project));
});

test('clock rule: what is objected to and what is fine', () => {
  for (const code of [
    'Date.now()',
    'performance.now()',
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'Math.random()',
    'new Date()',
  ]) {
    objects(
      checks.clockRule,
      'src/task/a.ts',
      `const a = 1;\nconst x = ${code};`,
      /^src\/task\/a\.ts:2 .*belongs in src\/runtime/,
    );
    accepts(checks.clockRule, 'src/runtime/a.ts', `const x = ${code};`);
    accepts(checks.clockRule, 'src/task/a.test.ts', `const x = ${code};`);
    accepts(checks.clockRule, 'src/task/a.ts', `const x = 'never ${code}'; // ${code}`);
  }
  for (const code of [
    'new Date',
    'Date()',
    'AbortSignal.timeout(5)',
    'process.hrtime.bigint()',
    'crypto.randomUUID()',
  ]) {
    objects(checks.clockRule, 'src/task/a.ts', `const x = ${code};`, /belongs in src\/runtime/);
  }
  objects(checks.clockRule, 'src/task/a.ts', `import { scheduler } from 'node:timers/promises';`, /timers/);
  objects(checks.clockRule, 'src/task/a.ts', `import * as x from 'node:timers/promises';`, /timers/);
  objects(checks.clockRule, 'src/task/a.ts', `const x = \`at \${Date.now()}\`;`, /Date\.now/);
  objects(checks.clockRule, 'src/client/a.ts', 'globalThis.setTimeout(f, 1);', /setTimeout/);
  accepts(checks.clockRule, 'src/task/a.ts', `new Date(clock.now()).toISOString(); clearTimeout(x); type D = Date;`);
});

test('files and functions are short', () => {
  clean(checks.fileLengths(project));
  clean(checks.functionLengths(project));
});

test('lengths: what is objected to and what is fine', () => {
  const body = (lines: number) => 'f();\n'.repeat(lines);
  objects(checks.fileLengths, 'src/core/a.ts', body(checks.FILE_LINES_MAX + 1), /451 lines/);
  accepts(checks.fileLengths, 'src/core/a.ts', body(checks.FILE_LINES_MAX));
  const long = body(checks.FUNCTION_LINES_MAX);
  const heads = [
    'function a<T>(x: { y: T }): Promise<{ z: T }> ',
    'const a = async (): Promise<void> => ',
    'class A { async *b(c: () => void = () => {}): AsyncIterable<{ d: 1 }> ',
  ];
  for (const head of heads) {
    const tail = head.startsWith('class') ? '}' : '';
    objects(
      checks.functionLengths,
      'src/core/a.ts',
      `${head}{\n${long}}${tail}`,
      /^src\/core\/a\.ts:1: a function of 72 lines/,
    );
    accepts(checks.functionLengths, 'src/core/a.ts', `${head}{\n${body(checks.FUNCTION_LINES_MAX - 2)}}${tail}`);
  }
  accepts(
    checks.functionLengths,
    'src/core/a.ts',
    `if (x) {\n${long}}\nfor (const a of b) {\n${long}}\nexport const c = {\n${'d: 1,\n'.repeat(100)}};`,
  );
  accepts(checks.functionLengths, 'src/core/a.test.ts', `test('a', () => {\n${long}});`);
});

test('all tests run', () => {
  clean(checks.wholeTests(project));
});

test('partial runs: what is objected to and what is fine', () => {
  const kinds = ['only', 'skip', 'todo'];
  for (const kind of kinds) {
    objects(checks.wholeTests, 'test/a.test.ts', `test.${kind}('a', f);`, /a part of the tests/);
    objects(checks.wholeTests, 'test/a.test.ts', `t.${kind}();`, /a part of the tests/);
    objects(checks.wholeTests, 'src/a.test.ts', `test('a', { timeout: 5, ${kind}: true }, f);`, /a part of the tests/);
  }
  accepts(
    checks.wholeTests,
    'test/a.test.ts',
    `test('a', () => mirror({ skipTables: ['x'], onlyTables: [] })); // .only(`,
  );
});

test('nothing is unfinished, and nothing is left over', () => {
  clean(checks.finishedSource(project));
  clean(checks.noLeftovers(project));
});

test('leftovers: what is objected to and what is fine', () => {
  objects(checks.finishedSource, 'src/core/a.ts', `// ${'TO'}DO: later`, /finish it/);
  for (const folder of ['root', 'home', 'Users', 'work']) {
    objects(checks.noLeftovers, 'docs/a.md', `see ${['', folder, 'x', 'y.ts'].join('/')}`, /not for other readers/);
  }
  objects(checks.noLeftovers, 'docs/a.md', `${'Co-Authored'}-By: somebody`, /not for other readers/);
  objects(checks.noLeftovers, 'src/a.ts', `${'<'.repeat(7)} ours`, /not for other readers/);
  accepts(
    checks.noLeftovers,
    'docs/a.md',
    'at the root/home of it: src/work/a, https://example.com/home/x, GENERATED BY DEFAULT, ~/work/x',
  );
});

test('every error has its place in docs/errors.md', () => {
  clean(documentedErrors(project, ERROR_CODES));
});

test('every guarantee names tests that exist', () => {
  clean(testedGuarantees(project));
});

test('links in the pages lead somewhere', () => {
  clean(resolvingLinks(project, (path) => existsSync(join(PROJECT_ROOT, path))));
});

test('documents: what is objected to and what is fine', () => {
  const errors = file('docs/errors.md', '# Errors\n## `USAGE`\n## GONE\n');
  assert.deepEqual(documentedErrors([errors], ['USAGE', 'READ_ONLY']), [
    'docs/errors.md says nothing of READ_ONLY',
    'docs/errors.md: there is no error GONE',
  ]);
  const promise = (name: string) => `- **${name} A promise.** Tested by\n  \`test/${name}.test.ts\`.\n`;
  const page = file('docs/guarantees.md', GUARANTEES.map(promise).join('').replace('`test/T3.test.ts`', 'nobody'));
  const tests = GUARANTEES.filter((name) => name !== 'T5').map((name) => file(`test/${name}.test.ts`, ''));
  assert.deepEqual(testedGuarantees([page, ...tests]), [
    'docs/guarantees.md names no test of T3',
    'docs/guarantees.md, T5: there is no test/T5.test.ts',
  ]);
  const links = file(
    'docs/a.md',
    '# My `--json` page\n[a](b.md) [b](../c.md "t") [c](#my---json-page) [d](#no) [e](https://x.y/z) `[f](g)`\n```\n[h](i)\n```',
  );
  assert.deepEqual(
    resolvingLinks([links], (path) => path === 'docs/b.md'),
    ['docs/a.md: ../c.md leads nowhere', 'docs/a.md: #no names no heading'],
  );
});

test('the reader of sources is not fooled', () => {
  assert.equal(codeOnly(`a('}{') // {\n/* { */ b`), `a(    )     \n        b`);
  assert.equal(codeOnly(`\`a\${b({ c: \`d}\` })}e\`;f`), `\` \${b({ c: \`  \` })} \`;f`);
  assert.equal(codeOnly(`x = /[/'"]\\/{/g; y = a / b / c`), `x = ${' '.repeat(11)}; y = a / b / c`);
  assert.deepEqual(
    importsOf(`import a, { b } from 'x';\nimport 'y';\nexport type { c } from "z"; f("from 'q'"); // import 'w'`),
    ['x', 'y', 'z'],
  );
  assert.deepEqual(functionsOf('const a = () => {\n  if (x) {\n  }\n};\nfunction b() {}'), [
    { line: 1, lines: 4 },
    { line: 5, lines: 1 },
  ]);
});
