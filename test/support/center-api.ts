import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCenterApi } from '../../src/operation-center/api/api.ts';
import type { Api } from '../../src/operation-center/api/parts.ts';
import { openCenterDatabase } from '../../src/operation-center/database.ts';
import { createCenterMetrics } from '../../src/operation-center/metrics.ts';
import type { Role, Run } from '../../src/operation-center/model.ts';
import type { Runner } from '../../src/operation-center/runner-port.ts';
import { openSecrets } from '../../src/operation-center/secrets.ts';
import type { Store } from '../../src/operation-center/store.ts';
import { createStore } from '../../src/operation-center/store-create.ts';
import { createRedact } from '../../src/runtime/redact.ts';
import { systemClock as clock } from '../../src/runtime/system-clock.ts';
import { systemRandom as random } from '../../src/runtime/system-random.ts';
import { createLog } from '../../src/service/log.ts';

import { prepareCenterDatabase } from './center-template.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type Answer = {
  readonly status: number;
  /** Parsed where it is JSON. */
  readonly body: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
};

export type Asked = {
  readonly token?: string | null;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** The address of the caller. */
  readonly from?: string;
};

/** A runner that only notes what it is asked for. */
export type NotingRunner = Runner & {
  readonly requested: string[];
  ended: Run | null;
  failure: Error | null;
  ready: boolean;
};

/** The center's API over a real store in a PostgreSQL of its own, and everything that it said. */
export type TestCenter = AsyncDisposable & {
  readonly api: Api;
  readonly store: Store;
  readonly runner: NotingRunner;
  /** Everything that was logged and answered. */
  readonly said: string[];
  ask(method: Method, path: string, asked?: Asked): Promise<Answer>;
  token(role: Role, tenant?: string | null): Promise<string>;
  end(): void;
};

export async function openTestCenter(): Promise<TestCenter> {
  const folder = mkdtempSync(join(tmpdir(), 'speil-center-'));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));
  await prepareCenterDatabase(folder);
  const database = opened.use(await openCenterDatabase({ dataFolder: folder }, { now: clock.now }));
  const store = createStore(database, { secrets: openSecrets({ dataFolder: folder }), clock, random });
  const runner = notingRunner();
  const said: string[] = [];
  const ending = new AbortController();
  const api = await createCenterApi({
    store,
    runner,
    metrics: createCenterMetrics({
      clock,
      runner: () => runner.state(),
      schedules: () => store.schedules(),
      connectedClients: () => 0,
      perMirror: true,
    }),
    log: createLog({ write: (text) => void said.push(text), clock, redact: createRedact([]), form: 'json' }),
    clock,
    random,
    version: '1.2.3',
    isConnected: () => false,
    insecure: false,
    tls: null,
    ending: ending.signal,
  });
  opened.defer(() => api.close());
  opened.defer(() => ending.abort());
  const ends = opened.move();
  return {
    api,
    store,
    runner,
    said,
    ask: async (method, path, asked = {}) => {
      const answer = await ask(api, method, path, asked);
      said.push(`${JSON.stringify(answer.headers)} ${answer.text}`);
      return { status: answer.status, headers: answer.headers, body: parsed(answer.text) };
    },
    token: async (role, tenant = null) => (await store.createToken({ role, tenant })).secret,
    end: () => ending.abort(),
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}

async function ask(
  api: Api,
  method: Method,
  path: string,
  { token = null, body, headers = {}, from = '127.0.0.1' }: Asked,
) {
  const response = await api.inject({
    method,
    url: path,
    remoteAddress: from,
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { payload: body as object }),
  });
  return { status: response.statusCode, text: response.body, headers: response.headers };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function notingRunner(): NotingRunner {
  const runner: NotingRunner = {
    requested: [],
    ended: null,
    failure: null,
    ready: true,
    requestRun: async (mirrorId) => {
      runner.requested.push(mirrorId);
      return { lastRunId: null };
    },
    waitForRun: async () => {
      if (runner.failure !== null) throw runner.failure;
      return runner.ended;
    },
    isRunning: () => false,
    state: () => ({ running: 0, queued: 0, ready: runner.ready }),
  };
  return runner;
}
