import { type Command, Option } from 'commander';
import type { NewServerToken, ServerToken } from '../../server/tokens.ts';
import { groupOf, showTable } from '../center-shell.ts';
import type { Output } from '../output.ts';
import { keepSecret } from '../secret-file.ts';
import type { ServerFlags } from '../server-client.ts';
import { serverCall, withServer } from '../server-shell.ts';
import { path } from '../service-call.ts';
import { examples, type Shell } from '../shell.ts';

type CreateFlags = ServerFlags & { readonly access: string; readonly database?: string; readonly out?: string };

export const tokenGroup = (shell: Shell): Command =>
  examples(
    groupOf('token', 'Create, list and revoke the tokens that clients show to a server.', [
      createCommand(shell),
      listCommand(shell),
      revokeCommand(shell),
    ]),
    [
      ['speil server token create --database shop --access write --token-file a/admin.token', 'for an application'],
      ['speil server token revoke <id> --token-file a/admin.token', 'it is not taken any more from now on'],
    ],
    'All of them need the admin token, which the server writes into its data folder at its first start.',
  );

function createCommand(shell: Shell): Command {
  const command = serverCall('create', 'Create a token. Its secret is shown this once.')
    .addOption(
      new Option('--access <access>', 'what it may do').choices(['read', 'write', 'admin']).makeOptionMandatory(),
    )
    .option('--database <name>', 'the one database that it is for (default: all of the server)')
    .option('--out <file>', 'write the secret to a new file (0600) instead of standard output')
    .action((flags: CreateFlags) =>
      withServer(shell, flags, async (server, output) => {
        const body = { access: flags.access, database: flags.database ?? null };
        const make = () => server.json<NewServerToken>('POST', '/admin/tokens', body);
        tell(output, await keepSecret(flags.out, make), flags.out);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil server token create --database shop --access read --out shop.token', 'reads one database'],
    ['speil server token create --access read --out prometheus.token', 'for /metrics'],
    ['speil server token create --access admin', 'a second operator'],
  ]);
}

function tell(output: Output, { token, secret }: NewServerToken, file: string | undefined): void {
  const { id, access, database } = token;
  output.event({ event: 'token', ...token, ...(file === undefined ? { secret } : { file }) });
  if (file === undefined) output.result([secret]);
  const where = database === null ? 'all databases' : database;
  output.say(`Token ${id}, access ${access}, of ${where}${file === undefined ? '' : `, in ${file}`}.`);
}

function listCommand(shell: Shell): Command {
  const command = serverCall('list', 'List the tokens, without their secrets.').action((flags: ServerFlags) =>
    withServer(shell, flags, async (server, output) => {
      const tokens = await server.json<readonly ServerToken[]>('GET', '/admin/tokens');
      for (const token of tokens) output.event({ event: 'token', ...token });
      showTable(output, shell.environment, {
        heading: ['id', 'access', 'database', 'created'],
        rows: tokens.map(({ id, access, database, createdAt }) => [id, access, database ?? '-', createdAt]),
        none: "There is no token but the admin's own.",
      });
      return undefined;
    }),
  );
  return examples(command, [['speil server token list --token-file a/admin.token', 'ids, access and databases']]);
}

function revokeCommand(shell: Shell): Command {
  const command = serverCall('revoke', 'Revoke a token: it is not taken any more from now on.')
    .argument('<id>')
    .action((id: string, flags: ServerFlags) =>
      withServer(shell, flags, async (server, output) => {
        await server.json('DELETE', path`/admin/tokens/${id}`);
        output.event({ event: 'token-revoked', id });
        output.result([`Revoked ${id}.`]);
        return undefined;
      }),
    );
  return examples(command, [['speil server token revoke <id>', '`speil server token list` names them']]);
}
