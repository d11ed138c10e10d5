import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { ENVELOPE_NAMESPACE } from '../../src/client/soap/envelope.ts';
import { writeRequest } from '../../src/client/soap/messages.ts';
import { SPOOL_BYTES_MAX } from '../../src/client/soap/spool.ts';
import {
  batch,
  columnInfo,
  insert,
  SoapService,
  STATED,
  sqlitePlace,
  TENANT,
  tableInfo,
} from '../support/soap-service.ts';
import { eventually } from '../support/workload.ts';

const NOTE = tableInfo('note', columnInfo('body', 'nvarchar(max)'));
const HEADER_BEGINS = `<s:Envelope xmlns:s="${ENVELOPE_NAMESPACE}"><s:Header>`;

/** More connections than calls that are carried out at once. */
const STRANGERS = 300;

function halfCall(service: SoapService, begins = HEADER_BEGINS): Promise<Socket> {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  const head = 'POST /soap HTTP/1.1\r\nhost: x\r\ncontent-type: text/xml\r\ncontent-length: 1000000\r\n\r\n';
  socket.on('error', () => undefined);
  return new Promise((resolve) => socket.write(head + begins, () => resolve(socket)));
}

describe('a SOAP receiver among strangers', () => {
  test('does not listen to who goes on without saying who it is', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    for (const begins of ['<a>', '<a b="', '<!-- ', '<a><b/><b/><b/>']) {
      const pieces = [HEADER_BEGINS, begins, ...Array.from({ length: 10 }, () => 'x'.repeat(60_000))];
      const { status, body } = await service.post(pieces.map((piece) => Buffer.from(piece)));
      assert.equal(status, 500);
      assert.match(body.toString(), /its header is too long/, begins);
    }
  });

  test('has room for a trusted call, however many strangers have begun one', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    const strangers = await Promise.all(Array.from({ length: STRANGERS }, () => halfCall(service)));
    assert.equal((await service.call('Authenticate', STATED)).isSuccessful, true);
    for (const socket of strangers) socket.destroy();
  });

  test('refuses a value that holds an element, instead of leaving that out', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    await service.schema(NOTE);
    const dataBatches = [batch(NOTE, 5n, insert('[I:1]', 'before-after'))];
    const message = writeRequest('RowData', { ...STATED, dataBatches }, await service.token());
    const { status, body } = await service.post(message.replace('before-', 'before<b>between</b>'));
    assert.equal(status, 500);
    assert.match(body.toString(), /string is a value, and holds the element b/);
    assert.equal((await service.query('SELECT 1 FROM note')).length, 0);
  });
});

describe('a SOAP receiver on a bad day', () => {
  test('does not hang up while a call is carried out, however long that takes', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    await using service = await SoapService.start(await sqlitePlace(), {
      silenceMs: 200,
      hooks: { onAuthenticate: () => promise },
    });
    const called = service.call('Authenticate', STATED);
    setTimeout(resolve, 700);
    assert.equal((await called).isSuccessful, true);
  });

  test('says that there is no room for rows in the words of the contract, and to its own log', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    await service.schema(NOTE);
    const value = 'x'.repeat(1_000_000);
    const rows = Array.from({ length: SPOOL_BYTES_MAX / 1_000_000 + 3 }, (_, at) => insert(`[I:${at}]`, value));
    using _folder = withTemporaryFolder('/nowhere/at/all');
    const { isSuccessful, errorMessage } = await service.rows(batch(NOTE, 5n, ...rows));
    assert.equal(isSuccessful, false);
    assert.match(errorMessage ?? '', /rows of a call could not be kept.*Make room in \/nowhere.*\(DISK_FULL\)/s);
    assert.match(service.notices.at(-1)?.message ?? '', /^RowData: the rows of a call could not be kept/);
    assert.deepEqual(await service.lsns(), [['note', -1]]);
  });

  test('tells its log of a call that was cut off as of the tenant', async () => {
    await using service = await SoapService.start(await sqlitePlace());
    await service.schema(NOTE);
    const dataBatches = [batch(NOTE, 5n, insert('[I:1]', 'x'))];
    const message = writeRequest('RowData', { ...STATED, dataBatches }, await service.token());
    const socket = await halfCall(service, message.slice(0, message.indexOf('[I:1]')));
    socket.destroy();
    await eventually(() => {
      assert.deepEqual(service.notices.at(-1), {
        tenant: TENANT,
        kind: 'error',
        message: 'RowData: the connection was cut in the middle of a call (CONNECTION_LOST)',
      });
    });
  });
});

/** Where temporary files go. */
function withTemporaryFolder(path: string): Disposable {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = path;
  return {
    [Symbol.dispose]: () => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
    },
  };
}
