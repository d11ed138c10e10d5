import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isNumbered,
  parametersOf,
  renameCalls,
  splitStatements,
  tokenize,
  tokenText,
  withoutValues,
} from './sql-text.ts';

const texts = (sql: string) => splitStatements(sql).map(({ text }) => text.trim());
const parameters = (sql: string) => splitStatements(sql).flatMap(parametersOf);

test('statements are told apart where SQLite ends them', () => {
  assert.deepEqual(texts('select \';\' ; -- one; two\n select "a;b", [c;d], `e;f` /* ; */; ;'), [
    "select ';'",
    '-- one; two\n select "a;b", [c;d], `e;f` /* ; */',
  ]);
  assert.deepEqual(texts(' ; /* nothing */ ; -- here'), []);
  assert.deepEqual(texts("select 'it''s; one'; select 2"), ["select 'it''s; one'", 'select 2']);
});

test('a text is read in no more than the time that its length asks for, whatever it holds', () => {
  const many = 20_000_000;
  for (const [open, close] of ["''", '""', '``', '[]'] as const) {
    const tokens = tokenize(`select ${open}${'a'.repeat(many)}${close}, 1`);
    assert.deepEqual([tokens.length, tokens[1]?.end], [4, many + 9]);
  }
  assert.deepEqual(tokenize(`'${"''".repeat(many / 2)}' 'b`).length, 2);
  assert.equal(tokenize('$a('.repeat(500_000)).length, 1);
});

test("a trigger's body belongs to it", () => {
  const trigger =
    'create temp trigger x after insert on t begin select 1; update t set a = case when 1 then 2 end; end';
  assert.deepEqual(texts(`${trigger}; select 1`), [trigger, 'select 1']);
  assert.deepEqual(texts(`explain query plan ${trigger}; select 1`), [`explain query plan ${trigger}`, 'select 1']);
  assert.deepEqual(texts('create table trigger_x(a); select 1'), ['create table trigger_x(a)', 'select 1']);
});

test('parameters have the numbers that SQLite gives them', () => {
  assert.deepEqual(parameters('select ?, ?3, ?, :a, @b, $c::d(e), :a'), [
    null,
    null,
    '?3',
    null,
    ':a',
    '@b',
    '$c::d(e)',
  ]);
  assert.deepEqual(parameters('select \':a\', "?", -- ?\n ?2'), [null, '?2']);
  assert.deepEqual(parameters('select 1'), []);
});

test('functions are renamed where they are called, and nowhere else', () => {
  const renamed = (sql: string) =>
    splitStatements(sql).map((piece) => renameCalls(piece, ['changes', 'total_changes'], (name) => `x_${name}`));
  assert.deepEqual(renamed('select Changes(), total_changes ( ), changes, \'changes()\', "changes"(1)'), [
    'select x_changes(), x_total_changes ( ), changes, \'changes()\', "changes"(1)',
  ]);
});

test('values are taken out of what people see', () => {
  assert.equal(
    withoutValues("select a1, 'Ann''s', 12.5e3, x'ab' from \"t 1\" where b = ?1 -- 12"),
    'select a1, ?, ?, x? from "t 1" where b = ?1 -- 12',
  );
});

/** Pieces that fit together in many ways, the odd ones among them. */
const fragment = fc.constantFrom(
  ...[
    'select 1',
    ';',
    "'a;b'",
    '"',
    "'",
    '--c\n',
    '/*',
    '*/',
    '[',
    ']',
    '`',
    '?',
    '?9',
    ':a',
    '$b',
    '@c',
    '#',
    '.5e',
    'é',
  ],
  ...['create trigger t', 'begin', 'end', ' ', '\n', '(', ')', ',', '::', '\\', '0x1F', 'explain', 'x'],
);
const anySql = fc.array(fragment, { maxLength: 14 }).map((parts) => parts.join(''));

test('property: tokens cover the text in order', () => {
  fc.assert(
    fc.property(fc.oneof(anySql, fc.string()), (sql) => {
      let end = 0;
      for (const token of tokenize(sql)) {
        assert.ok(token.start >= end && token.end > token.start);
        assert.notEqual(tokenText(sql, token).trim(), '');
        end = token.end;
      }
      assert.ok(end <= sql.length);
    }),
    { numRuns: 2_000 },
  );
});

test('property: what SQLite takes for the first statement is the first piece', () => {
  using database = new DatabaseSync(':memory:', { enableDoubleQuotedStringLiterals: true });
  const values = fc.constantFrom(
    "';'",
    '";"',
    '?',
    ':a',
    '1',
    "'it''s'",
    '(select 2)',
    'case when 1 then 2 end',
    '[;]',
  );
  const statement = fc
    .array(values, { minLength: 1, maxLength: 4 })
    .map((parts) => `select ${parts.filter((part) => part !== '[;]').join(', ') || '1'}`);
  const space = fc.constantFrom(' ', '\n', '-- ;\n', '/* ; */', '');
  fc.assert(
    fc.property(fc.array(fc.tuple(space, statement, space), { minLength: 1, maxLength: 4 }), (parts) => {
      const sql = parts.map((part) => part.join('')).join(';');
      const [first] = splitStatements(sql);
      const source = database.prepare(sql).sourceSQL;
      assert.equal(first?.text.trim(), source.replace(/;$/, '').trim());
      assert.equal(splitStatements(sql).length, parts.length);
    }),
    { numRuns: 500 },
  );
});

test('property: SQLite finds the parameters that we find', () => {
  using database = new DatabaseSync(':memory:');
  const parameter = fc.constantFrom('?', '?1', '?3', '?7', ':a', '@a', '$a', ':b', '$a::b', '$a(x)');
  fc.assert(
    fc.property(fc.array(parameter, { minLength: 1, maxLength: 8 }), (list) => {
      const sql = `select ${list.map((name) => `typeof(${name})`).join(', ')}`;
      const names = parameters(sql);
      const statement = database.prepare(sql);
      statement.setAllowBareNamedParameters(false);
      const hasName = (name: string | null) => name !== null && !isNumbered(name);
      const named = Object.fromEntries(names.filter(hasName).map((name) => [name, 'x']));
      const others = names.filter((name) => !hasName(name)).map(() => 'x');
      const row = Object.keys(named).length === 0 ? statement.get(...others) : statement.get(named, ...others);
      assert.deepEqual(new Set(Object.values(row ?? {})), new Set(['text']));
      assert.throws(() => statement.get(named, ...others, 'one too many'));
    }),
    { numRuns: 500 },
  );
});
