import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeRequest } from '../../src/client/soap/messages.ts';
import { batch, columnInfo, insert, SoapService, sqlitePlace, tableInfo } from '../support/soap-service.ts';

/** Bytes of a call. Its rows are many times what may be kept in memory. */
const CALL_BYTES = 50_000_000;
/** What a call may add to the memory of the process, however large it is. */
const GROWTH_BYTES_MAX = 160_000_000;

test('a call of any size is stored as it comes, in bounded memory', async () => {
  await using service = await SoapService.start(await sqlitePlace());
  const info = tableInfo('contact', columnInfo('name', 'nvarchar(max)'));
  await service.schema(info);
  const dataBatches = [batch(info, 9n, insert('[I:KEY]', 'VALUE'))];
  const message = writeRequest('RowData', { clientState: null, dataBatches }, await service.token());
  const [from, to] = [message.indexOf('<d:RowData>'), message.indexOf('</d:Data>')];
  const value = `${'å'.repeat(500)}&amp;${'x'.repeat(8_000)}`;
  const row = message.slice(from, to).replace('VALUE', value);
  let rows = 0;
  let peak = 0;
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const watch = setInterval(() => {
    peak = Math.max(peak, used());
  }, 10);
  function* body() {
    yield Buffer.from(message.slice(0, from));
    for (let bytes = 0; bytes < CALL_BYTES; bytes += row.length) {
      yield Buffer.from(row.replace('KEY', String(rows++)));
    }
    yield Buffer.from(message.slice(to));
  }
  const answer = await service.post(body()).finally(() => clearInterval(watch));
  assert.match(answer.body.toString(), /<m:IsSuccessful>true/);
  assert.ok(peak - before < GROWTH_BYTES_MAX, `${peak - before} bytes`);
  const found = await service.query('SELECT count(*) AS n, min(length(name)) AS least FROM contact');
  assert.deepEqual(found.map(Object.values), [[rows, 8_501]]);
  assert.deepEqual(await service.lsns(), [['contact', 9]]);
});
