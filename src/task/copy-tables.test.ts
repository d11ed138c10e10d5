import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, SpeilError } from '../core/error.ts';
import { concernsOneTable } from './copy-tables.ts';

const thrown = (code: ErrorCode): boolean => concernsOneTable(new SpeilError(code, 'it failed'));

test('what ends a cycle is not taken for the failure of a table', () => {
  const whole: readonly ErrorCode[] = [
    ...(['NOT_FOUND', 'FORBIDDEN', 'CONFLICT', 'TRUST_REFUSED', 'CONTRACT_BROKEN', 'CLIENT_NOT_CONNECTED'] as const),
    ...(['CENTER_DATABASE_FAILED', 'INTERRUPTED', 'INTERNAL', 'FILE_MISSING', 'OTHER_LINEAGE'] as const),
    ...(['CONNECTION_LOST', 'UNREACHABLE', 'DISK_FULL', 'MIRROR_BUSY'] as const),
  ];
  assert.deepEqual(whole.filter(thrown), []);
  const ofOne = ['LOCK_TIMEOUT', 'VALUE_REFUSED', 'SCHEMA_CHANGED', 'TABLE_FAILED', 'CALL_TOO_LARGE'] as const;
  assert.deepEqual(ofOne.filter(thrown), ofOne);
  assert.equal(concernsOneTable(new TypeError('it failed')), false);
});
