import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Lsn } from '../../core/lsn.ts';
import { accessIn, demandAccess, demandAdmin, noDatabase } from '../access.ts';
import { DatabaseName } from '../databases/database-name.ts';
import type { DatabaseView } from '../databases/databases.ts';
import type { AdminCall, AdminRoute } from './admin-api.ts';
import { bodyOf } from './admin-api.ts';
import { receiveFile } from './transfers.ts';

export const SQLITE_TYPE = 'application/vnd.sqlite3';
/** The LSN that a backup is at. */
export const LSN_HEADER = 'x-speil-lsn';

const newDatabase = z.strictObject({ name: z.string() });

/** How far a backup is that has not been sent yet. `done` and `total` are bytes. */
export type BackupProgress = { readonly done: number; readonly total: number };

export const databaseRoutes = (): readonly AdminRoute[] => {
  const backups = new RunningBackups();
  return [
    { method: 'GET', pattern: 'status', handler: status },
    { method: 'GET', pattern: 'databases', handler: list },
    { method: 'POST', pattern: 'databases', handler: create },
    {
      method: 'GET',
      pattern: 'databases/:',
      handler: (call) => ({ ...show(call), backups: backups.of(nameOf(call)) }),
    },
    { method: 'PUT', pattern: 'databases/:', handler: createFrom },
    { method: 'DELETE', pattern: 'databases/:', handler: drop },
    { method: 'GET', pattern: 'databases/:/backup', handler: (call) => backUp(call, backups) },
  ];
};

const nameOf = ({ parameter }: AdminCall): DatabaseName => DatabaseName.of(parameter);

function status(call: AdminCall): unknown {
  const { name, version, sinceMs } = call.parts.identity;
  return { name, version, since: new Date(sinceMs).toISOString(), databases: list(call) };
}

/** Those that the caller may see. */
const list = ({ caller, parts }: AdminCall): readonly DatabaseView[] =>
  parts.databases.views.filter(({ name }) => accessIn(caller, name) !== null);

function show(call: AdminCall): DatabaseView {
  const name = nameOf(call);
  demandAccess(call.caller, name);
  const view = call.parts.databases.viewOf(name);
  if (view === null) throw noDatabase(name);
  return view;
}

async function create({ caller, parts, request, response }: AdminCall): Promise<unknown> {
  demandAdmin(caller);
  const { name } = await bodyOf(request, newDatabase);
  await parts.databases.create(DatabaseName.of(name));
  response.statusCode = 201;
  return parts.databases.viewOf(DatabaseName.of(name));
}

/** The body is a SQLite file. */
async function createFrom(call: AdminCall): Promise<unknown> {
  const { caller, parts, request, response } = call;
  demandAdmin(caller);
  const name = nameOf(call);
  await parts.transfers.withFile(async (path) => {
    await receiveFile(request, path);
    await parts.databases.create(name, path);
  });
  response.statusCode = 201;
  return parts.databases.viewOf(name);
}

async function drop(call: AdminCall): Promise<null> {
  demandAdmin(call.caller);
  const name = nameOf(call);
  await call.parts.databases.drop(name);
  call.parts.tokens.revokeAllOf(name);
  return null;
}

/** Made whole before it is sent, so that its length and LSN stand at its head and what arrives short is seen to. */
async function backUp(call: AdminCall, backups: RunningBackups): Promise<void> {
  const { caller, parts, response } = call;
  const name = nameOf(call);
  demandAccess(caller, name);
  const { served } = await parts.databases.get(name);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  await parts.transfers.withFile(async (path) => {
    const { lsn, bytes } = await backups.during(name, (onProgress) =>
      served.backup(path, { onProgress, signal: gone.signal }),
    );
    response.writeHead(200, headersOf(lsn, bytes));
    await pipeline(createReadStream(path), response);
  });
}

const headersOf = (lsn: Lsn, bytes: number) => ({
  'content-type': SQLITE_TYPE,
  'content-length': bytes,
  [LSN_HEADER]: lsn.toString(),
});

/** Backups that are being made, so that whoever waits for one can ask how far it is. */
class RunningBackups {
  readonly #byDatabase = new Map<DatabaseName, Set<{ progress: BackupProgress }>>();

  of(name: DatabaseName): readonly BackupProgress[] {
    return [...(this.#byDatabase.get(name) ?? [])].map(({ progress }) => progress);
  }

  async during<T>(
    name: DatabaseName,
    work: (onProgress: (done: number, total: number) => void) => Promise<T>,
  ): Promise<T> {
    const running = { progress: { done: 0, total: 0 } };
    const all = this.#byDatabase.get(name) ?? new Set();
    this.#byDatabase.set(name, all.add(running));
    try {
      return await work((done, total) => {
        running.progress = { done, total };
      });
    } finally {
      all.delete(running);
      if (all.size === 0) this.#byDatabase.delete(name);
    }
  }
}
