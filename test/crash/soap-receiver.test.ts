import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type Operation,
  type Requests,
  type Responses,
  readResponse,
  writeRequest,
} from '../../src/client/soap/messages.ts';
import { rsaSigningKey } from '../../src/client/soap/rsa-keys.ts';
import { signSignedToken } from '../../src/client/soap/signed-token.ts';
import {
  APPLICATION,
  batch,
  columnInfo,
  insert,
  type MirrorPlace,
  sqlitePlace,
  TENANT,
  tableInfo,
  VENDOR_KEY,
} from '../support/soap-service.ts';

const CHILD = fileURLToPath(new URL('./soap-child.ts', import.meta.url));
const INFO = tableInfo('person', columnInfo('version', 'int'));
const ROUNDS = 4;
const ROWS = 300;

/** A receiver in a process of its own. */
class Receiver {
  readonly child: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.child = child;
    this.url = url;
  }

  static async start({ template }: MirrorPlace): Promise<Receiver> {
    const key = createPublicKey(VENDOR_KEY).export({ format: 'der', type: 'spki' }).toString('base64');
    const child = spawn(process.execPath, [CHILD, template, key], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data');
    return new Receiver(child, String(line).trim());
  }

  async call<O extends Operation>(operation: O, request: Requests[O]): Promise<Responses[O]> {
    const key = rsaSigningKey(VENDOR_KEY, null);
    const { token } = await signSignedToken({ key, tenant: TENANT, application: APPLICATION, nowMs: Date.now() });
    const headers = { 'content-type': 'text/xml' };
    const answer = await fetch(this.url, { method: 'POST', headers, body: writeRequest(operation, request, token) });
    return readResponse(operation, Buffer.from(await answer.arrayBuffer()));
  }

  async kill(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }
}

/** Two batches in a call; only the second brings the LSN. Ends when the receiver is gone. */
async function deliver(receiver: Receiver, from: number): Promise<void> {
  for (let version = from; ; version++) {
    const rows = Array.from({ length: ROWS }, (_, at) => insert(`[I:${at}]`, `[I:${version}]`));
    const dataBatches = [
      batch(INFO, 0n, ...rows.slice(0, ROWS / 2)),
      batch(INFO, BigInt(version), ...rows.slice(ROWS / 2)),
    ];
    const answer = await receiver.call('RowData', { clientState: null, dataBatches });
    assert.equal(answer.isSuccessful, true);
  }
}

test('a receiver that is killed in the middle of calls has the rows of its LSN, all of them and no others', async () => {
  await using place = await sqlitePlace();
  let version = 1;
  for (let round = 0; round < ROUNDS; round++) {
    const receiver = await Receiver.start(place);
    const { mirrorLsn } = await receiver.call('TableSchema', { clientState: null, tables: [INFO] });
    assert.equal(mirrorLsn[0]?.lsn, version === 1 ? -1n : BigInt(version - 1));
    const delivered = deliver(receiver, version).catch(() => undefined);
    const wanted = version + 1 + (round % 3);
    const held = async () => {
      const found = await place.query(
        `SELECT lsn, (SELECT min(version) FROM person) AS least, (SELECT max(version) FROM person) AS most FROM "${TENANT}_mirroring"`,
      );
      return found.map((row) => Object.values(row).map(Number))[0] ?? [];
    };
    while (Number((await held())[0]) < wanted) await new Promise((resolve) => setImmediate(resolve));
    await receiver.kill();
    await delivered;
    const [lsn, least, most] = await held();
    assert.deepEqual([least, most], [lsn, lsn]);
    version = Number(lsn) + 1;
  }
});
