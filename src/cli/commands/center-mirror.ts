import type { Command } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { MirrorAnswer } from '../../operation-center/api/schemas.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, demandYes, groupOf, readText, showTable, withCenter } from '../center-shell.ts';
import { formatDuration } from '../format.ts';
import { parseDuration } from '../settings.ts';
import { examples, type Shell } from '../shell.ts';

type ReachFlags = { readonly client?: string; readonly dialled?: boolean; readonly soap?: boolean };
type AddFlags = CenterFlags &
  ReachFlags & { readonly application: string; readonly publicKey: string; readonly every?: number };
type ChangeFlags = Omit<AddFlags, 'publicKey'> & { readonly publicKey?: string };

export const mirrorGroup = (shell: Shell): Command =>
  examples(
    groupOf('mirror', "Add, list, change and remove a tenant's mirrors.", [
      addCommand(shell),
      listCommand(shell),
      changeCommand(shell),
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
          publicKey: readPublicPart(flags.publicKey),
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

/** A private key never leaves this machine, not even to be refused. */
function readPublicPart(file: string): string {
  const text = readText(file);
  if (!/PRIVATE KEY-----/.test(text)) return text;
  throw new SpeilError('USAGE', `${file} is a private key; the public one is needed here.`, {
    hint: 'Name the .pub file, and give the private key to nobody.',
  });
}

function transportOf({ client, dialled, soap }: ReachFlags): MirrorAnswer['transport'] {
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

function changeCommand(shell: Shell): Command {
  const command = centerCall('change', "Change a mirror's key, client or interval; what is not named stays.")
    .argument('<tenant>')
    .requiredOption('--application <name>', 'which of its mirrors')
    .option('--public-key <file>', "the application's new public key, PEM")
    .option('--client <url>', 'the client is called here')
    .option('--dialled', 'the client dials the center')
    .option('--soap', "the called client speaks SuperOffice's contract")
    .option('--every <time>', 'from cycle to cycle', parseDuration)
    .action((tenant: string, flags: ChangeFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { application } = flags;
        const which = path`/v1/tenants/${tenant}/mirrors/${application}`;
        const mirror = await center.send<MirrorAnswer>('PATCH', which, changeOf(flags));
        output.event({ event: 'mirror-changed', ...mirror });
        output.result([
          `The mirror of ${tenant} for ${application}: ${reachedBy(mirror)}, every ${formatDuration(mirror.everyMs)}.`,
        ]);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center mirror change acme --application crm --public-key new.pub', 'the customer has a new key'],
    ['speil center mirror change acme --application crm --every 5m', 'more often'],
  ]);
}

function changeOf(flags: ChangeFlags) {
  const { publicKey, client, dialled, soap, every } = flags;
  const isReachedOtherwise = client !== undefined || dialled === true || soap === true;
  if (publicKey === undefined && every === undefined && !isReachedOtherwise) {
    throw new SpeilError('USAGE', 'Say what changes.', { hint: '--public-key, --client, --dialled or --every' });
  }
  return {
    ...(publicKey === undefined ? {} : { publicKey: readPublicPart(publicKey) }),
    ...(isReachedOtherwise ? { transport: transportOf(flags) } : {}),
    ...(every === undefined ? {} : { everyMs: every }),
  };
}

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
