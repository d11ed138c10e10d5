import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { selfSigned, type TestCertificate } from '../../../test/support/certificate.ts';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { systemClock } from '../../runtime/system-clock.ts';
import { SoapFault, writeFault } from './envelope.ts';
import { writeResponse } from './messages.ts';
import { type SoapPostOptions, soapPost } from './sender-http.ts';

type Answering = (response: ServerResponse) => void;

/** Something that listens where a mirror client should. */
class Listening implements AsyncDisposable {
  readonly server: Server;
  readonly headers: unknown[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(answer: Answering, tls: TestCertificate | null) {
    const take = (request: { headers: unknown }, response: ServerResponse) => {
      this.headers.push(request.headers);
      answer(response);
    };
    this.server = tls === null ? createServer(take) : createTlsServer(tls, take);
    this.server.on('connection', (socket) => this.#sockets.add(socket));
  }

  static async start(answer: Answering, tls: TestCertificate | null = null): Promise<Listening> {
    const made = new Listening(answer, tls);
    await new Promise<void>((resolve) => made.server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  url(protocol = 'http'): string {
    return `${protocol}://127.0.0.1:${(this.server.address() as AddressInfo).port}/Client.svc`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const signal = new AbortController().signal;

async function call(url: string, more: Partial<SoapPostOptions> = {}, until = signal) {
  await using post = soapPost({ url, clock: systemClock, ...more });
  return await post.send('Wipe', { clientState: null, tableName: 't' }, 'a.b.c', until);
}

const failed = async (work: Promise<unknown>): Promise<SpeilError> => {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SpeilError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
};

const answering =
  (status: number, body: string): Answering =>
  (response) =>
    response.writeHead(status, { 'content-type': 'text/xml; charset=utf-8' }).end(body);

const GOOD = writeResponse('Wipe', { isSuccessful: true, errorMessage: null });

test('a call is a POST of SOAP 1.1 with its action in quotes', async () => {
  await using listening = await Listening.start(answering(200, GOOD));
  assert.deepEqual(await call(listening.url()), { isSuccessful: true, errorMessage: null });
  const { soapaction, 'content-type': type } = listening.headers[0] as Record<string, string>;
  assert.equal(soapaction, '"http://www.superoffice.com/online/mirroring/0.1/IMirroringClientService/Wipe"');
  assert.equal(type, 'text/xml; charset=utf-8');
});

const PAGE = '<html><body>Fine day</body></html>';

test('what answers instead of a mirror client is told apart', async () => {
  const cases: readonly (readonly [number, string, string, RegExp, string])[] = [
    [404, PAGE, 'NOT_FOUND', /no mirror client takes POST there/, 'operator'],
    [405, PAGE, 'NOT_FOUND', /no mirror client takes POST there/, 'operator'],
    [302, PAGE, 'NOT_FOUND', /no mirror client takes POST there/, 'operator'],
    [401, PAGE, 'AUTHENTICATION_REFUSED', /wants a login/, 'operator'],
    [413, PAGE, 'CALL_TOO_LARGE', /of this size/, 'operator'],
    [503, PAGE, 'UNREACHABLE', /not available now/, 'retry'],
    [400, PAGE, 'CONTRACT_BROKEN', /answers 400, and no SOAP/, 'operator'],
    [500, PAGE, 'CONTRACT_BROKEN', /answers 500, and no SOAP/, 'retry'],
    [200, PAGE, 'CONTRACT_BROKEN', /not understood/, 'operator'],
    [200, '', 'CONTRACT_BROKEN', /not understood/, 'operator'],
    [200, GOOD.slice(0, -10), 'CONTRACT_BROKEN', /not understood/, 'operator'],
    [200, GOOD.replaceAll('WipeResponse', 'RowDataResponse'), 'CONTRACT_BROKEN', /not understood/, 'operator'],
    [500, writeFault(new SoapFault('Server', 'no room')), 'CONTRACT_BROKEN', /SOAP fault: .*no room/, 'retry'],
  ];
  for (const [status, body, code, message, recovery] of cases) {
    await using listening = await Listening.start(answering(status, body));
    const error = await failed(call(listening.url()));
    assert.deepEqual([error.code, error.recovery], [code, recovery], `${status} ${body.slice(0, 40)}`);
    assert.match(error.message, message);
  }
});

test('an answer without an end is not collected', async () => {
  await using listening = await Listening.start((response) => {
    response.writeHead(200, { 'content-type': 'text/xml' });
    const pour = () => {
      while (response.write('x'.repeat(1_000_000)));
      response.once('drain', pour);
    };
    pour();
  });
  assert.equal((await failed(call(listening.url()))).code, 'CALL_TOO_LARGE');
});

test('nobody there, and connections that are cut', async () => {
  await using gone = await Listening.start(() => undefined);
  const url = gone.url();
  await gone[Symbol.asyncDispose]();
  assert.equal((await failed(call(url))).code, 'UNREACHABLE');
  await using cutting = await Listening.start((response) => response.socket?.destroy());
  assert.equal((await failed(call(cutting.url()))).code, 'CONNECTION_LOST');
  await using half = await Listening.start((response) => {
    response.writeHead(200, { 'content-length': 1000 }).write('<?xml');
    response.socket?.destroySoon();
  });
  assert.equal((await failed(call(half.url()))).code, 'CONNECTION_LOST');
});

test('a client that never answers is given up, and a call that is ended ends', async () => {
  await using silent = await Listening.start(() => undefined);
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, until) => {
      waits.push(ms);
      await new Promise<void>((resolve, reject) => {
        until?.addEventListener('abort', () => reject(until.reason), { once: true });
        const look = () => (silent.headers.length > 0 ? resolve() : setImmediate(look));
        look();
      });
    },
  };
  const error = await failed(call(silent.url(), { clock }));
  assert.equal(error.code, 'CONNECTION_LOST');
  assert.match(error.message, /not a word for 600 s/);
  assert.deepEqual(waits, [10_000, 600_000]);
  const ending = new AbortController();
  const ended = call(silent.url(), {}, ending.signal);
  ending.abort(new SpeilError('INTERRUPTED', 'enough'));
  assert.equal((await failed(ended)).code, 'INTERRUPTED');
});

test('TLS: a certificate that nobody vouches for, and one that is trusted', async () => {
  const tls = selfSigned();
  await using listening = await Listening.start(answering(200, GOOD), tls);
  assert.equal((await failed(call(listening.url('https')))).code, 'TLS_FAILED');
  assert.equal((await call(listening.url('https'), { ca: tls.cert })).isSuccessful, true);
});

test('rows do not leave the machine unencrypted', () => {
  for (const url of ['http://example.org/a', 'ftp://127.0.0.1/', 'nonsense', 'https://user@example.org/']) {
    assert.throws(() => soapPost({ url, clock: systemClock }), { code: 'USAGE' }, url);
  }
});
