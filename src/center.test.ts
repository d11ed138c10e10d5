import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareCenterDatabase } from '../test/support/center-template.ts';
import { startCenter } from './center.ts';

/** What a center says first; it is ended there. */
async function firstWords(data: string): Promise<string> {
  const said: string[] = [];
  const write = (text: string) => {
    said.push(text);
    throw new Error('enough');
  };
  const listen = { host: '127.0.0.1', port: 0 };
  await assert.rejects(startCenter({ data, listen, log: { write, form: 'words' } }), /enough/);
  return said.join('');
}

test('the first start says that it makes a database before the seconds that this takes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'speil-center-start-'));
  try {
    assert.match(await firstWords(join(folder, 'new')), /making the database of a new center: this takes some seconds/);
    assert.ok(!existsSync(join(folder, 'new/database')));
    await prepareCenterDatabase(join(folder, 'old'));
    assert.match(await firstWords(join(folder, 'old')), /starting data=/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
