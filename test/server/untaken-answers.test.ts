import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { type HranaService, openHranaService } from '../support/hrana-service.ts';
import { post } from '../support/hrana-transports.ts';
import { eventually } from '../support/workload.ts';

// Clients that ask for much and do not read it.

const LARGE = 'SELECT zeroblob(30000000)';

const pipeline = (sql: string) => JSON.stringify({ baton: null, requests: [{ type: 'execute', stmt: { sql } }] });

async function outcomeOf(service: HranaService, sql: string): Promise<string> {
  const { results } = (await (await post(`${service.url()}v3/pipeline`, pipeline(sql))).json()) as {
    results: [{ type: string; error?: { code: string } }];
  };
  return results[0].error?.code ?? results[0].type;
}

/** Each asks for a large answer and takes nothing of it until it is ended. */
const READERS: Readonly<Record<string, (service: HranaService) => Promise<() => void>>> = {
  HTTP: async (service) => {
    const socket = connect(service.port, '127.0.0.1').pause();
    const body = pipeline(LARGE);
    socket.write(`POST /main/v3/pipeline HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    return () => socket.destroy();
  },
  WebSocket: async (service) => {
    const socket = new WebSocket(service.url('ws'), 'hrana3');
    await once(socket, 'open');
    socket.send('{"type":"hello","jwt":null}');
    await once(socket, 'message');
    socket.pause();
    socket.send('{"type":"request","request_id":1,"request":{"type":"open_stream","stream_id":1}}');
    const request = { type: 'execute', stream_id: 1, stmt: { sql: LARGE } };
    socket.send(JSON.stringify({ type: 'request', request_id: 2, request }));
    return () => socket.terminate();
  },
};

for (const [kind, open] of Object.entries(READERS)) {
  test(`an answer over ${kind} that is not taken leaves the others small ones, and what is gone makes room`, async () => {
    await using service = await openHranaService({ limits: { answersBytes: 50_000_000 } });
    assert.equal(await outcomeOf(service, LARGE), 'ok');
    const end = await open(service);
    await eventually(async () => assert.equal(await outcomeOf(service, LARGE), 'SERVER_BUSY'));
    assert.equal(await outcomeOf(service, 'SELECT 1'), 'ok');
    end();
    await eventually(async () => assert.equal(await outcomeOf(service, LARGE), 'ok'));
  });
}
