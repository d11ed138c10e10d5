import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRedact } from './redact.ts';

const cases: readonly (readonly [string, readonly string[], string, string])[] = [
  [
    'an address',
    [],
    'cannot reach postgres://ola:hemmelig@db:5432/crm now',
    'cannot reach postgres://ola:***@db:5432/crm now',
  ],
  ['an address whose password holds @ and :', [], 'postgres://ola:he@m:m@db/crm', 'postgres://ola:***@db/crm'],
  ['an address without a password', [], 'postgres://ola@db/crm', 'postgres://ola@db/crm'],
  [
    'a parameter',
    [],
    'postgres://db/crm?user=ola&password=hemmelig&x=1',
    'postgres://db/crm?user=ola&password=***&x=1',
  ],
  ['a connection string', [], "host=db password='he mm' user=ola", 'host=db password=*** user=ola'],
  [
    'the word of an address in a driver message',
    ['postgres://ola:hemmelig@db/crm'],
    'no "hemmelig" here',
    'no "***" here',
  ],
  ['its decoded form', ['postgres://ola:p%40ss%2Fword@db/crm'], 'got p@ss/word', 'got ***'],
  ['its encoded form', ['postgres://ola:p%40ss%2Fword@db/crm'], 'got p%40ss%2Fword', 'got ***'],
  [
    'a password that nobody encoded',
    ['postgres://ola:he/m#m ?lig@db/crm'],
    'unknown command postgres://ola:he/m#m ?lig@db/crm',
    'unknown command postgres://ola:***@db/crm',
  ],
  ['the password of a parameter', ['postgres://db/crm?password=hemmelig'], 'got hemmelig', 'got ***'],
  ['not a word that is also the user', ['postgres://postgres:postgres@db/crm'], 'role postgres', 'role postgres'],
  ['not a very short word', ['postgres://ola:a@db/crm'], 'a table', 'a table'],
];

for (const [what, addresses, text, expected] of cases) {
  test(`passwords are taken out: ${what}`, () => assert.equal(createRedact(addresses)(text), expected));
}

test('PGPASSWORD is a password too', () => {
  assert.equal(createRedact([], { PGPASSWORD: 'hemmelig' })('sent hemmelig to db'), 'sent *** to db');
});
