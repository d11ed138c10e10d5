import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { DatabaseView } from '../../server/databases/databases.ts';
import { demandYes, groupOf, showTable } from '../center-shell.ts';
import { formatBytes } from '../format.ts';
import type { Output } from '../output.ts';
import type { ServerClient, ServerFlags } from '../server-client.ts';
import { ARGUMENT_DATABASE, serverCall, withServer } from '../server-shell.ts';
import { path } from '../service-call.ts';
import { examples, type Shell } from '../shell.ts';
import { showTransfer } from '../transfer-view.ts';

/** As JSON carries it: LSNs are texts. */
export type DatabaseAnswer = {
  readonly name: string;
  readonly state: DatabaseView['state'];
  readonly reason: string | null;
  readonly hardened?: string;
  readonly fileBytes?: number;
  readonly journalBytes?: number;
  readonly streams?: number;
};

export const databaseCommand = (shell: Shell): Command =>
  examples(
    groupOf('database', 'Create, list and drop the databases of a server.', [
      createCommand(shell),
      listCommand(shell),
      dropCommand(shell),
    ]),
    [
      ['speil database create shop', 'an empty one'],
      ['speil database create shop --from shop.db', 'a copy of a SQLite file, served from now on'],
      ['speil database list --at https://db.example:7101', 'what another server has'],
    ],
  );

type CreateFlags = ServerFlags & { readonly from?: string };

function createCommand(shell: Shell): Command {
  const command = serverCall('create', 'Create a database: empty, or a copy of a SQLite file.')
    .argument('<database>', ARGUMENT_DATABASE)
    .option('--from <file>', 'SQLite file of this machine; it stays as it is')
    .action((name: string, flags: CreateFlags) =>
      withServer(shell, flags, async (server, output) => {
        const made = await (flags.from === undefined
          ? server.json<DatabaseAnswer>('POST', '/admin/databases', { name })
          : upload(shell, server, output, { name, from: flags.from }));
        output.event({ event: 'database-created', ...made });
        output.result([`Created ${name} at ${server.origin}/${name}/`]);
        return undefined;
      }),
    );
  return examples(
    command,
    [
      ['speil database create shop', 'on the server of this machine'],
      ['speil database create shop --from old/shop.db', 'with what the file holds now'],
    ],
    'Programs may go on writing into the file of --from: the copy is as it was at one moment. Clients use the address with\nthe slash at its end.',
  );
}

type Source = { readonly name: string; readonly from: string };

/** The copy is made here first: what the file's WAL holds belongs to it, and nobody may write into it on its way. */
async function upload(
  shell: Shell,
  server: ServerClient,
  output: Output,
  { name, from }: Source,
): Promise<DatabaseAnswer> {
  await demandFree(server, name);
  const { copySqliteFile } = await import('../../server/databases/sqlite-copy.ts');
  const { signal } = shell.environment;
  const folder = mkdtempSync(join(tmpdir(), 'speil-create-'));
  try {
    const copy = join(folder, 'copy.db');
    await using view = showTransfer(shell, output, `copying ${from}`);
    await copySqliteFile(from, copy, { onProgress: view.progress, signal });
    view.step('sending it');
    const total = statSync(copy).size;
    const body = createReadStream(copy);
    body.on('data', () => view.progress(body.bytesRead, total));
    return await server.json<DatabaseAnswer>('PUT', path`/admin/databases/${name}`, { type: SQLITE_TYPE, body });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const SQLITE_TYPE = 'application/vnd.sqlite3';

/** Before a long way for nothing. */
async function demandFree(server: ServerClient, name: string): Promise<void> {
  const databases = await server.json<readonly DatabaseAnswer[]>('GET', '/admin/databases');
  if (databases.every((database) => database.name !== name)) return;
  throw new SpeilError('CONFLICT', `there is a database ${name} already`, {
    hint: `Choose another name, or drop it first: speil database drop ${name}`,
  });
}

function listCommand(shell: Shell): Command {
  const command = serverCall('list', 'List the databases of a server, and how they are.').action((flags: ServerFlags) =>
    withServer(shell, flags, async (server, output) => {
      const databases = await server.json<readonly DatabaseAnswer[]>('GET', '/admin/databases');
      for (const database of databases) output.event({ event: 'database', ...database });
      showTable(output, shell.environment, {
        heading: ['database', 'state', 'lsn', 'size', 'journal', 'streams'],
        rows: databases.map(rowOf),
        none: 'There are no databases. Create one: speil database create <name>',
      });
      for (const { name, reason } of databases) if (reason !== null) output.say(`${name}: ${reason}`);
      return undefined;
    }),
  );
  return examples(command, [['speil database list', 'names, states, positions and sizes']]);
}

const rowOf = ({ name, state, hardened, fileBytes, journalBytes, streams }: DatabaseAnswer): readonly string[] => [
  name,
  state,
  hardened ?? '-',
  fileBytes === undefined ? '-' : formatBytes(fileBytes),
  journalBytes === undefined ? '-' : formatBytes(journalBytes),
  streams === undefined ? '-' : String(streams),
];

type DropFlags = ServerFlags & { readonly yes?: boolean };

function dropCommand(shell: Shell): Command {
  const command = serverCall('drop', 'Drop a database with its journal and its tokens, for ever.')
    .argument('<database>')
    .option('--yes', 'do not ask')
    .action((name: string, flags: DropFlags) =>
      withServer(shell, flags, async (server, output) => {
        const found = await server.json<DatabaseAnswer>('GET', path`/admin/databases/${name}`);
        await demandYes(shell.environment, { what: warningOf(found, server.origin), yes: flags.yes });
        await server.json('DELETE', path`/admin/databases/${name}`);
        output.event({ event: 'database-dropped', name });
        output.result([`Dropped ${name}.`]);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil database drop shop', 'says what it will do, and asks'],
    ['speil database drop shop --yes', 'without being asked'],
  ]);
}

function warningOf({ name, fileBytes, hardened, streams }: DatabaseAnswer, origin: string): string {
  const size = fileBytes === undefined ? '' : ` (${formatBytes(fileBytes)}, at LSN ${hardened})`;
  const clients = streams === undefined || streams === 0 ? '' : ` Clients use it now: ${streams} streams are open.`;
  return `This removes the database ${name}${size} from ${origin}, its journal and the tokens that are for it alone.${clients} Nothing brings it back but a backup.`;
}
