import { type Command, Option } from 'commander';
import type { NewTokenAnswer, TokenAnswer } from '../../operation-center/api/tokens.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, groupOf, showTable, withCenter } from '../center-shell.ts';
import type { Output } from '../output.ts';
import { keepSecret } from '../secret-file.ts';
import { examples, type Shell } from '../shell.ts';

type OutFlags = CenterFlags & { readonly out?: string };
type CreateFlags = OutFlags & { readonly role: string; readonly tenant?: string };

export const tokenGroup = (shell: Shell): Command =>
  examples(
    groupOf('token', 'Create, list, rotate and revoke API tokens.', [
      createCommand(shell),
      listCommand(shell),
      rotateCommand(shell),
      revokeCommand(shell),
    ]),
    [
      ['speil center token create --role tenant --tenant acme --out acme.token', 'for a customer'],
      ['speil center token revoke <id>', 'it is not taken any more from now on'],
    ],
  );

const withOut = (command: Command): Command =>
  command.option('--out <file>', 'write the secret to a new file (0600) instead of standard output');

function createCommand(shell: Shell): Command {
  const command = withOut(centerCall('create', 'Create an API token. Its secret is shown this once.'))
    .addOption(
      new Option('--role <role>', 'what it may do').choices(['operator', 'tenant', 'read-only']).makeOptionMandatory(),
    )
    .option('--tenant <name>', 'the one tenant that it sees')
    .action((flags: CreateFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const body = { role: flags.role, tenant: flags.tenant ?? null };
        const make = () => center.send<NewTokenAnswer>('POST', '/v1/tokens', body);
        tell(output, await keepSecret(flags.out, make), flags.out);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center token create --role read-only --out prometheus.token', 'for a monitor'],
    ['speil center token create --role tenant --tenant acme', 'to standard output'],
  ]);
}

function rotateCommand(shell: Shell): Command {
  const command = withOut(centerCall('rotate', 'Create a token like this one, and revoke this one.'))
    .argument('<id>')
    .action((id: string, flags: OutFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const make = () => center.send<NewTokenAnswer>('POST', path`/v1/tokens/${id}/rotate`);
        tell(output, await keepSecret(flags.out, make), flags.out);
        return undefined;
      }),
    );
  return examples(command, [['speil center token rotate <id> --out acme.token', 'the new one into a file']]);
}

function tell(output: Output, { token, secret }: NewTokenAnswer, file: string | undefined): void {
  const { id, role, tenant } = token;
  output.event({ event: 'token', ...token, ...(file === undefined ? { secret } : { file }) });
  if (file === undefined) output.result([secret]);
  output.say(
    `Token ${id}, role ${role}${tenant === null ? '' : ` of ${tenant}`}${file === undefined ? '' : `, in ${file}`}.`,
  );
}

function listCommand(shell: Shell): Command {
  const command = centerCall('list', 'List the API tokens, without their secrets.').action((flags: CenterFlags) =>
    withCenter(shell, flags, async (center, output) => {
      const tokens = await center.get<readonly TokenAnswer[]>('/v1/tokens');
      for (const token of tokens) output.event({ event: 'token', ...token });
      showTable(output, shell.environment, {
        heading: ['id', 'role', 'tenant', 'created', 'revoked'],
        rows: tokens.map(({ id, role, tenant, createdAt, revokedAt }) => [
          id,
          role,
          tenant ?? '-',
          createdAt,
          revokedAt ?? '-',
        ]),
        none: 'There are no tokens.',
      });
      return undefined;
    }),
  );
  return examples(command, [['speil center token list', 'ids, roles, and which are revoked']]);
}

function revokeCommand(shell: Shell): Command {
  const command = centerCall('revoke', 'Revoke an API token: it is not taken any more from now on.')
    .argument('<id>')
    .action((id: string, flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        await center.send('DELETE', path`/v1/tokens/${id}`);
        output.event({ event: 'token-revoked', id });
        output.result([`Revoked ${id}.`]);
        return undefined;
      }),
    );
  return examples(command, [['speil center token revoke <id>', '`speil center token list` names them']]);
}
