import type { Command } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { MirrorAnswer } from '../../operation-center/api/schemas.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, demandYes, groupOf, readText, showTable, withCenter } from '../center-shell.ts';
import { formatDuration } from '../format.ts';
import { parseDuration } from '../settings.ts';
import { examples, type Shell } from '../shell.ts';

type AddFlags = CenterFlags & {
  readonly application: string;
  readonly publicKey: string;
  readonly client?: string;
  readonly dialled?: boolean;
  readonly soap?: boolean;
  readonly every?: number;
};

export const mirrorGroup = (shell: Shell): Command =>
  examples(
    groupOf('mirror', "Add, list and remove a tenant's mirrors.", [
      addCommand(shell),
      listCommand(shell),
      removeCommand(shell),
    ]),
    [
      [
        'speil center mirror add acme --application crm --public-key crm.pub --client https://mirror.acme.example:8400',
        'a mirror whose client is called',
      ],
      ['speil center mirror list acme', 'its mirrors'],
    ],
  );

function addCommand(shell: Shell): Command {
  const command = centerCall('add', 'Add a mirror; its first cycle is due at once.')
    .argument('<tenant>')
    .requiredOption('--application <name>', 'as its client is started with')
    .requiredOption('--public-key <file>', "the application's public key, PEM")
    .option('--client <url>', 'the client is called here')
    .option('--dialled', 'the client dials the center')
    .option('--soap', "the called client speaks SuperOffice's contract")
    .option('--every <time>', 'from cycle to cycle (default: 20m)', parseDuration)
    .action((tenant: string, flags: AddFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { application, every } = flags;
        const mirror = await center.send<MirrorAnswer>('POST', path`/v1/tenants/${tenant}/mirrors`, {
          application,
          publicKey: readText(flags.publicKey),
          transport: transportOf(flags),
          ...(every === undefined ? {} : { everyMs: every }),
        });
        output.event({ event: 'mirror-added', ...mirror });
        output.result([
          `Added the mirror of ${tenant} for ${application}: ${reachedBy(mirror)}, every ${formatDuration(mirror.everyMs)}.`,
        ]);
        return undefined;
      }),
    );
  return examples(command, [
    [
      'speil center mirror add acme --application crm --public-key crm.pub --client https://mirror.acme.example:8400',
      'pushed',
    ],
    ['speil center mirror add acme --application crm --public-key crm.pub --dialled --every 5m', 'dialled'],
  ]);
}

function transportOf({ client, dialled, soap }: AddFlags): MirrorAnswer['transport'] {
  if ((client === undefined) === (dialled !== true) || (soap === true && client === undefined)) {
    throw new SpeilError(
      'USAGE',
      'Say how the client is reached: either --client or --dialled; --soap goes with --client.',
      {
        hint: '--client https://… is called by the center; --dialled connects to it.',
      },
    );
  }
  return client === undefined ? { kind: 'dialled' } : { kind: soap === true ? 'soap' : 'http', url: client };
}

const reachedBy = ({ transport }: MirrorAnswer): string => {
  if (transport.kind === 'dialled') return 'dialled';
  return transport.kind === 'soap' ? `${transport.url} (SOAP)` : transport.url;
};

function listCommand(shell: Shell): Command {
  const command = centerCall('list', "List a tenant's mirrors.")
    .argument('<tenant>')
    .action((tenant: string, flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const mirrors = await center.get<readonly MirrorAnswer[]>(path`/v1/tenants/${tenant}/mirrors`);
        for (const mirror of mirrors) output.event({ event: 'mirror', ...mirror });
        showTable(output, shell.environment, {
          heading: ['application', 'client', 'every', 'added'],
          rows: mirrors.map((mirror) => [
            mirror.application,
            reachedBy(mirror),
            formatDuration(mirror.everyMs),
            mirror.createdAt,
          ]),
          none: `${tenant} has no mirrors. Add one: speil center mirror add ${tenant} --application <name> …`,
        });
        return undefined;
      }),
    );
  return examples(command, [['speil center mirror list acme', 'applications, clients, intervals']]);
}

type RemoveFlags = CenterFlags & { readonly application: string; readonly yes?: boolean };

function removeCommand(shell: Shell): Command {
  const command = centerCall('remove', 'Remove a mirror from the center. Its database stays as it is.')
    .argument('<tenant>')
    .requiredOption('--application <name>', 'which of its mirrors')
    .option('--yes', 'do not ask')
    .action((tenant: string, flags: RemoveFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { application } = flags;
        const which = path`/v1/tenants/${tenant}/mirrors/${application}`;
        await center.get(which);
        const what = `This removes the mirror of ${tenant} for ${application} from the center. The mirror database stays as it is; added again, it goes on from where it was.`;
        await demandYes(shell.environment, { what, yes: flags.yes });
        await center.send('DELETE', which);
        output.event({ event: 'mirror-removed', tenant, application });
        output.result([`Removed the mirror of ${tenant} for ${application}.`]);
        return undefined;
      }),
    );
  return examples(command, [['speil center mirror remove acme --application crm --yes', 'without being asked']]);
}
