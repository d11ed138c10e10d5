import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, SpeilError } from '../core/error.ts';
import { parseLocation } from './parse-location.ts';

const postgres: readonly (readonly [string, string])[] = [
  ['postgres://ola:hemmelig@db.example.com:5433/crm', 'postgres://ola@db.example.com:5433/crm'],
  ['postgresql://ola@db/crm', 'postgres://ola@db/crm'],
  ['POSTGRES://db/crm', 'postgres://db/crm'],
  ['postgres://ola:p%40ss%2Fword@db/crm', 'postgres://ola@db/crm'],
  ['postgres://ola:p@ss@db/crm', 'postgres://ola@db/crm'],
  ['postgres://ola:pa:ss@db/crm', 'postgres://ola@db/crm'],
  ['postgres://ola:hemmelig@[::1]:5432/crm', 'postgres://ola@[::1]:5432/crm'],
  ['postgres:///crm', 'postgres://localhost/crm'],
  ['postgres:///crm?host=/var/run/postgresql', 'postgres:///var/run/postgresql/crm'],
  ['postgres://db/crm?user=ola&password=hemmelig&sslmode=require', 'postgres://db/crm'],
  ['postgres://db/%C3%A5r', 'postgres://db/år'],
];

for (const [text, display] of postgres) {
  test(`${text} is PostgreSQL and shown without its password`, () => {
    assert.deepEqual(parseLocation(text), { kind: 'postgres', url: text, display });
  });
}

const sqlite: readonly (readonly [string, string])[] = [
  ['crm.db', 'crm.db'],
  ['./data/CRM.SQLITE3', './data/CRM.SQLITE3'],
  ['/data/with space.sqlite', '/data/with space.sqlite'],
  ['C:\\data\\crm.db', 'C:\\data\\crm.db'],
  ['sqlite:no-extension', 'no-extension'],
  ['sqlite:/data/crm', '/data/crm'],
  ['sqlite:///data/crm.db', '/data/crm.db'],
  ['sqlite:a:b.db', 'a:b.db'],
];

for (const [text, path] of sqlite) {
  test(`${text} is the SQLite file ${path}`, () => {
    assert.deepEqual(parseLocation(text), { kind: 'sqlite', path, display: path });
  });
}

const refused: readonly (readonly [string, ErrorCode])[] = [
  ['mysql://ola:hemmelig@db/crm', 'UNKNOWN_SCHEME'],
  ['https://hemmelig.example.com', 'UNKNOWN_SCHEME'],
  ['crm', 'UNKNOWN_SCHEME'],
  ['', 'UNKNOWN_SCHEME'],
  ['host=db password=hemmelig', 'UNKNOWN_SCHEME'],
  ['sqlite:', 'USAGE'],
  ['sqlite::memory:', 'USAGE'],
  ['sqlite://host/crm.db', 'USAGE'],
  ['postgres:crm', 'USAGE'],
  ['postgres://ola:hem/melig@db/crm', 'USAGE'],
  ['postgres://ola:12/hemmelig@db/crm', 'USAGE'],
  ['postgres://ola:12?hemmelig@db/crm', 'USAGE'],
  ['postgres://ola:12#hemmelig@db/crm', 'USAGE'],
  ['postgres://ola:hemmelig%zz@db/crm', 'USAGE'],
  ['postgres://ola@db:hemmelig/crm', 'USAGE'],
  ['postgres://ola@db:70000/crm', 'USAGE'],
];

for (const [text, code] of refused) {
  test(`${JSON.stringify(text)} is refused as ${code}, with a hint and without the password`, () => {
    assert.throws(
      () => parseLocation(text),
      (error) => {
        assert.ok(error instanceof SpeilError);
        assert.equal(error.code, code);
        assert.ok(error.hint !== null && error.hint !== '');
        assert.doesNotMatch(`${error.message} ${error.hint}`, /hemmelig|melig/);
        return true;
      },
    );
  });
}
