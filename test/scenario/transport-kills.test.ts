import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import type { CallHandler } from '../../src/client/exchange.ts';
import { ChildScript } from '../support/child-script.ts';
import { hurried, newKey } from '../support/dialled.ts';
import { assertSameRows } from '../support/dump.ts';
import { type StartClient, startClient, TRANSPORTS, type Transport } from '../support/remote-task.ts';
import { withDirectory } from '../support/workload.ts';
import { database, SHOP } from './shop.ts';
import type { ClientChild, Death } from './transport-client-child.ts';
import { FaultScene } from './transport-faults.ts';
import type { TaskChild } from './transport-task-child.ts';

const HURRY = 40;

const DEATHS: readonly Death[] = [
  { call: 'table-schema', nth: 1, when: 'after' },
  /** In the middle of a copy. */
  { call: 'row-data', nth: 3, when: 'before' },
  /** The rows are written, the answer is not. */
  { call: 'row-data', nth: 2, when: 'after' },
];

/** A client as a process of its own, which ends as `death` says. `started` is told of it. */
const clientProcess =
  (death: Death | null, started: (child: ChildScript) => void = () => undefined): StartClient =>
  async ({ transport, mirrors, centerUrl, trust }) => {
    const argument: ClientChild = {
      transport,
      mirrors,
      centerUrl,
      applicationKey: trust.application.privatePem,
      centerKey: trust.center.publicPem,
      hurry: HURRY,
      death,
    };
    const child = new ChildScript(new URL('transport-client-child.ts', import.meta.url), argument);
    started(child);
    return { port: Number(await child.ready()), [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
  };

for (const transport of TRANSPORTS) {
  test(`${transport}: a client that is killed at any moment leaves a mirror that the next cycle heals`, async () => {
    const children: ChildScript[] = [];
    const started = (child: ChildScript) => void children.push(child);
    let isDeadly = false;
    await using scene = await FaultScene.start(transport, {
      client: clientProcess(DEATHS[0] ?? null, started),
      onHandshake: () => isDeadly && children.at(-1)?.kill(),
    });
    for (const [nth, death] of DEATHS.entries()) {
      if (nth > 0) await scene.remote.startClient(clientProcess(death, started));
      await assert.rejects(scene.remote.cycle(`tenant${nth}`), { recovery: 'retry' });
      assert.equal(await children.at(-1)?.exit, 'SIGKILL');
      if (transport === 'dialled') await scene.remote.center.connected(0);
    }
    if (transport === 'dialled') {
      isDeadly = true;
      await scene.remote.startClient(clientProcess(null, started)).catch(() => undefined);
      assert.equal(await children.at(-1)?.exit, 'SIGKILL');
      isDeadly = false;
      await scene.remote.center.connected(0);
    }
    await scene.remote.startClient(clientProcess(null));
    for (const nth of DEATHS.keys()) {
      assert.equal((await scene.remote.cycle(`tenant${nth}`)).report.status, 'completed');
      await scene.same(`tenant${nth}`);
    }
  });

  test(`${transport}: a task's side that is killed in the middle of a copy is followed by another`, () =>
    killedTask(transport));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function killedTask(transport: Transport): Promise<void> {
  using directory = withDirectory();
  const source = `sqlite:${directory.file('source.db')}`;
  await database(source).sql(SHOP);
  const trust = { center: newKey(), application: newKey() };
  const centerPort = await freePort();
  let task: ChildScript | null = null;
  let calls = 0;
  const killing =
    (handler: CallHandler): CallHandler =>
    async (request) => {
      const answer = await handler(request);
      if (request.call === 'row-data' && ++calls === 3) task?.kill();
      return answer;
    };
  const mirrors = `sqlite:${directory.file('mirror-{tenant}.db')}`;
  const centerUrl = `http://127.0.0.1:${centerPort}`;
  await using client = await startClient({ transport, mirrors, centerUrl, trust, clock: hurried(HURRY) }, killing);
  const argument: TaskChild = {
    transport,
    source,
    tenant: 'shop',
    port: transport === 'http' ? client.port : centerPort,
    centerKey: trust.center.privatePem,
    applicationKey: trust.application.publicPem,
    hurry: HURRY,
  };
  const script = new URL('transport-task-child.ts', import.meta.url);
  await using first = new ChildScript(script, argument);
  task = first;
  assert.equal(await first.exit, 'SIGKILL');
  task = null;
  await using second = new ChildScript(script, argument);
  assert.equal(await second.exit, '0');
  await assertSameRows(source, mirrors.replace('{tenant}', 'shop'));
}
