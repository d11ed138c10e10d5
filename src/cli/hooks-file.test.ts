import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { withDirectory } from '../../test/support/workload.ts';
import { loadHooks } from './hooks-file.ts';

test('hooks are taken from named exports and from the default export of a module', async () => {
  using directory = withDirectory();
  const file = directory.file('hooks.ts');
  writeFileSync(
    file,
    `export const onWipe = (table: string): string => 'named';
    export const helper = 7;
    export default { onEvent() { return 'default'; }, onWipe() { return 'not this one'; } };`,
  );
  const hooks = await loadHooks(file);
  assert.deepEqual(Object.keys(hooks).toSorted(), ['onEvent', 'onWipe']);
  assert.equal((hooks.onWipe as () => unknown)(), 'named');
});

test('a module that cannot be the hooks is refused, and why', async () => {
  using directory = withDirectory();
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['empty.ts', 'export const something = 1;', /exports no hook/],
    ['broken.ts', 'export const onWipe = 7;', /onWipe of .*broken\.ts is no function/],
    ['throws.mjs', 'throw new Error("at home")', /cannot be loaded: at home/],
    ['typo.mjs', 'export const = 1', /cannot be loaded/],
  ];
  for (const [name, text, pattern] of cases) {
    writeFileSync(directory.file(name), text);
    await assert.rejects(loadHooks(directory.file(name)), { code: 'USAGE', message: pattern, hint: /onAuthenticate/ });
  }
  await assert.rejects(loadHooks(directory.file('none.ts')), { code: 'FILE_MISSING' });
});
