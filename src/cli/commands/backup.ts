import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { SpeilError } from '../../core/error.ts';
import { formatBytes } from '../format.ts';
import type { Output } from '../output.ts';
import type { ServerClient, ServerFlags } from '../server-client.ts';
import { serverCall, withServer } from '../server-shell.ts';
import { path } from '../service-call.ts';
import { examples, type Shell } from '../shell.ts';
import { showTransfer, type TransferView } from '../transfer-view.ts';

/** How often the server is asked how far it is while it makes the backup. */
const ASK_MS = 500;

export function backupCommand(shell: Shell): Command {
  const command = serverCall('backup', 'Write a database into a plain SQLite file, while writing goes on.')
    .argument('<database>', 'its name')
    .argument('<file>', 'a new file')
    .action((name: string, file: string, flags: ServerFlags) =>
      withServer(shell, flags, async (server, output) => {
        const { lsn, bytes } = await backUp({ shell, server, output }, name, file);
        output.event({ event: 'backup', database: name, file, lsn, bytes });
        output.result([`${file} holds ${name} at LSN ${lsn} (${formatBytes(bytes)}).`]);
        return undefined;
      }),
    );
  return examples(
    command,
    [
      ['speil backup shop shop-backup.db', 'the file can be opened by everything that opens SQLite files'],
      ['speil backup shop shop-backup.db --json | jq -r .lsn', 'the commit that it is at'],
    ],
    'The file is there when it is whole, and not before. Bring it back with `speil restore`, or with\n`speil database create <name> --from <file>`.',
  );
}

type Around = { readonly shell: Shell; readonly server: ServerClient; readonly output: Output };

async function backUp(around: Around, name: string, file: string): Promise<{ lsn: string; bytes: number }> {
  if (existsSync(file)) throw new SpeilError('USAGE', `${file} is there already.`, { hint: 'Name a new file.' });
  const unfinished = `${file}.part`;
  await using view = showTransfer(around.shell, around.output, `copying ${name} on the server`);
  try {
    const answer = await whileTelling(around, name, view, () =>
      around.server.open('GET', path`/admin/databases/${name}/backup`),
    );
    view.step('receiving it');
    const bytes = await receive(answer, unfinished, view).catch((error: unknown) => {
      throw localFailure(error, file) ?? around.server.broken(error);
    });
    renameSync(unfinished, file);
    return { lsn: String(answer.headers['x-speil-lsn']), bytes };
  } finally {
    rmSync(unfinished, { force: true });
  }
}

type Shown = { readonly backups?: readonly { readonly done: number; readonly total: number }[] };

/** The server answers when its copy is whole; until then it is asked how far that is. */
async function whileTelling<T>(
  { shell, server }: Around,
  name: string,
  view: TransferView,
  work: () => Promise<T>,
): Promise<T> {
  const answered = new AbortController();
  const { clock } = shell.environment;
  const telling = async () => {
    while (!answered.signal.aborted) {
      await clock.sleep(ASK_MS, answered.signal);
      const { backups = [] } = await server.json<Shown>(
        'GET',
        path`/admin/databases/${name}`,
        undefined,
        answered.signal,
      );
      const [only] = backups;
      if (backups.length === 1 && only !== undefined) view.progress(only.done, only.total);
    }
  };
  // What cannot be asked is not shown; the work itself says what is wrong.
  const told = telling().catch(() => undefined);
  try {
    return await work();
  } finally {
    answered.abort();
    await told;
  }
}

async function receive(answer: IncomingMessage, file: string, view: TransferView): Promise<number> {
  const total = Number(answer.headers['content-length']);
  const target = createWriteStream(file, { flags: 'w', mode: 0o600, flush: true });
  let done = 0;
  answer.on('data', (chunk: Buffer) => {
    done += chunk.byteLength;
    view.progress(done, total);
  });
  await pipeline(answer, target);
  return done;
}

/** Null when it is not of this machine's disk. */
function localFailure(error: unknown, file: string): SpeilError | null {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SpeilError('DISK_FULL', `there is no room for ${file}`, { hint: 'Make room, or name another disk.' });
  }
  if (syscall !== 'open') return null;
  return new SpeilError('USAGE', `${file} cannot be written (${code}).`, {
    hint: 'Name a file in a folder of your own.',
  });
}
