import type { Command } from 'commander';
import type { MirrorAnswer, TenantAnswer } from '../../operation-center/api/schemas.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, demandYes, groupOf, readSecret, showTable, withCenter } from '../center-shell.ts';
import { plural } from '../format.ts';
import { examples, type Shell } from '../shell.ts';
import { printable } from '../text.ts';

type SourceFlags = CenterFlags & { readonly source?: string; readonly sourceFile?: string };

export const tenantGroup = (shell: Shell): Command =>
  examples(
    groupOf('tenant', 'Add, list, remove, pause and resume tenants.', [
      addCommand(shell),
      sourceCommand(shell),
      listCommand(shell),
      removeCommand(shell),
      switchCommand(shell, 'pause', 'Let no more cycles of the tenant start.'),
      switchCommand(shell, 'resume', 'Let the cycles of a paused tenant start again.'),
    ]),
    [
      ['speil center tenant add acme --source-file acme.url', 'the address with its password from a file'],
      ['speil center tenant list', 'all tenants'],
    ],
  );

const withSource = (command: Command): Command =>
  command
    .option('--source <address>', 'database to read: postgres://… or sqlite:<path>')
    .option('--source-file <file>', 'file that holds the address, or - for standard input');

function addCommand(shell: Shell): Command {
  const command = withSource(centerCall('add', 'Add a tenant.'))
    .argument('<tenant>', 'its name')
    .action((name: string, flags: SourceFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const source = await sourceOf(shell, flags);
        const tenant = await center.send<TenantAnswer>('POST', '/v1/tenants', { name, source });
        output.event({ event: 'tenant-added', ...tenant });
        output.result([`Added ${tenant.name}, whose source is ${printable(tenant.sourceDisplay)}.`]);
        output.say(`Now add a mirror: speil center mirror add ${name} --application <name> --public-key <file> …`);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center tenant add acme --source postgres://reader@db/crm', 'a source that needs no password here'],
    ['pass show acme | speil center tenant add acme --source-file -', 'an address that nobody sees'],
  ]);
}

function sourceCommand(shell: Shell): Command {
  const command = withSource(centerCall('source', "Change the address of a tenant's source, such as its password."))
    .argument('<tenant>')
    .action((name: string, flags: SourceFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const source = await sourceOf(shell, flags);
        const tenant = await center.send<TenantAnswer>('PUT', path`/v1/tenants/${name}/source`, { source });
        output.event({ event: 'tenant-changed', ...tenant });
        output.result([`The source of ${tenant.name} is ${printable(tenant.sourceDisplay)}.`]);
        return undefined;
      }),
    );
  return examples(command, [['speil center tenant source acme --source-file -', 'from standard input']]);
}

const sourceOf = ({ environment }: Shell, { source, sourceFile }: SourceFlags): Promise<string> =>
  readSecret(environment, { typed: source, file: sourceFile, option: 'source' });

function listCommand(shell: Shell): Command {
  const command = centerCall('list', 'List the tenants.').action((flags: CenterFlags) =>
    withCenter(shell, flags, async (center, output) => {
      const tenants = await center.get<readonly TenantAnswer[]>('/v1/tenants');
      for (const tenant of tenants) output.event({ event: 'tenant', ...tenant });
      showTable(output, shell.environment, {
        heading: ['tenant', 'state', 'source', 'added'],
        rows: tenants.map((tenant) => [tenant.name, stateOf(tenant), tenant.sourceDisplay, tenant.createdAt]),
        none: 'There are no tenants. Add one: speil center tenant add <name> --source <address>',
      });
      return undefined;
    }),
  );
  return examples(command, [['speil center tenant list', 'names, states and sources']]);
}

const stateOf = ({ paused, maintenance }: TenantAnswer): string =>
  maintenance ? 'maintenance' : paused ? 'paused' : 'active';

type RemoveFlags = CenterFlags & { readonly yes?: boolean };

function removeCommand(shell: Shell): Command {
  const command = centerCall('remove', 'Remove a tenant from the center. Its mirrors stay as they are.')
    .argument('<tenant>')
    .option('--yes', 'do not ask')
    .action((name: string, flags: RemoveFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const mirrors = await center.get<readonly MirrorAnswer[]>(path`/v1/tenants/${name}/mirrors`);
        const what = `This removes ${name} with ${plural(mirrors.length, 'mirror')}, their runs, events and tokens from the center. The mirror databases stay as they are, and so does the change tracking in the source (\`speil untrack\` removes it).`;
        await demandYes(shell.environment, { what, yes: flags.yes });
        await center.send('DELETE', path`/v1/tenants/${name}`);
        output.event({ event: 'tenant-removed', tenant: name });
        output.result([`Removed ${name}.`]);
        return undefined;
      }),
    );
  return examples(command, [['speil center tenant remove acme --yes', 'without being asked']]);
}

function switchCommand(shell: Shell, word: 'pause' | 'resume', description: string): Command {
  const command = centerCall(word, description)
    .argument('<tenant>')
    .action((name: string, flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const tenant = await center.send<TenantAnswer>('POST', `${path`/v1/tenants/${name}`}/${word}`);
        output.event({ event: 'tenant-changed', ...tenant });
        output.result([
          word === 'pause' ? `${name} is paused: a cycle under way ends, no other starts.` : `${name} goes on.`,
        ]);
        return undefined;
      }),
    );
  return examples(command, [[`speil center tenant ${word} acme`, 'one tenant; the others go on']]);
}
