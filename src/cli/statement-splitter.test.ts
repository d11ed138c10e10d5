import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StatementSplitter } from './statement-splitter.ts';

function split(text: string): readonly string[] {
  const splitter = new StatementSplitter();
  const complete = splitter.push(text);
  const rest = splitter.end();
  return rest === null ? complete : [...complete, rest];
}

const TRIGGER = `CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN
  UPDATE b SET x = 1; DELETE FROM c WHERE end = 'END;';
END;`;

test('statements end at their semicolons, and nowhere else', () => {
  assert.deepEqual(split('SELECT 1; SELECT 2'), ['SELECT 1;', 'SELECT 2']);
  assert.deepEqual(split(`SELECT ';' AS "a;b", [c;d], \`e;\`; -- f;\nSELECT /* ; */ 'it''s;';`), [
    `SELECT ';' AS "a;b", [c;d], \`e;\`;`,
    `-- f;\nSELECT /* ; */ 'it''s;';`,
  ]);
  assert.deepEqual(split(`${TRIGGER} SELECT 1;`), [TRIGGER, 'SELECT 1;']);
  assert.deepEqual(split('EXPLAIN CREATE TRIGGER x BEGIN SELECT 1; END; SELECT 2;'), [
    'EXPLAIN CREATE TRIGGER x BEGIN SELECT 1; END;',
    'SELECT 2;',
  ]);
  assert.deepEqual(split(' ;; -- nothing\n /* nothing */ ; '), []);
  assert.deepEqual(split('CREATE TABLE trigger_end (x); BEGIN; END;'), [
    'CREATE TABLE trigger_end (x);',
    'BEGIN;',
    'END;',
  ]);
});

test('what is not complete waits', () => {
  const splitter = new StatementSplitter();
  assert.deepEqual(splitter.push("SELECT 'a;\n"), []);
  assert.equal(splitter.isEmpty, false);
  assert.deepEqual(splitter.push("b'; -"), ["SELECT 'a;\nb';"]);
  assert.deepEqual(splitter.push('- comment; \n'), []);
  assert.equal(splitter.isEmpty, true);
  assert.equal(splitter.end(), null);
});

test('the pieces in which a text comes make no difference', () => {
  const words = [
    ';',
    ' ',
    '\n',
    "'",
    '"',
    '--',
    '/*',
    '*/',
    'CREATE',
    'TRIGGER',
    'TEMP',
    'END',
    'x',
    '[',
    ']',
    '`',
    'ø',
    '-',
    '/',
  ];
  const pieces = fc.array(
    fc.array(fc.constantFrom(...words), { maxLength: 6 }).map((parts) => parts.join('')),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(pieces, (texts) => {
      const splitter = new StatementSplitter();
      const complete = texts.flatMap((text) => splitter.push(text));
      const rest = splitter.end();
      assert.deepEqual(rest === null ? complete : [...complete, rest], split(texts.join('')));
    }),
    { numRuns: 2_000 },
  );
});
