import { type Command, InvalidArgumentError } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { ChangedSettingsAnswer, SettingsAnswer } from '../../operation-center/api/settings.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, readSecret, withCenter } from '../center-shell.ts';
import { examples, type Shell } from '../shell.ts';

export function maintenanceCommand(shell: Shell): Command {
  const command = centerCall('maintenance', 'Turn maintenance on or off: no cycles and no wipes while on.')
    .argument('<on|off>', 'which', parseSwitch)
    .argument('[tenant]', 'of one tenant (default: the whole center)')
    .action((on: boolean, tenant: string | undefined, flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        if (tenant === undefined) await center.send('PATCH', '/v1/settings', { maintenance: on });
        else await center.send('PUT', path`/v1/tenants/${tenant}/maintenance`, { on });
        output.event({ event: 'maintenance', on, tenant: tenant ?? null });
        const whose = tenant ?? 'the whole center';
        output.result([on ? `Maintenance of ${whose}: no cycle starts.` : `Maintenance of ${whose} is over.`]);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center maintenance on acme', 'one tenant'],
    ['speil center maintenance off', 'of the whole center'],
  ]);
}

function parseSwitch(text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw new InvalidArgumentError('Write on or off.');
}

type QuietFlags = CenterFlags & { readonly timezone?: string };
type QuietHours = NonNullable<SettingsAnswer['quietHours']>;

export function quietHoursCommand(shell: Shell): Command {
  const command = centerCall('quiet-hours', 'Show or change the hours in which no cycle starts by itself.')
    .argument('[hours]', '01:30-03:00, 23:00-06:00, or off')
    .option('--timezone <zone>', 'of these hours, as Europe/Oslo')
    .action((hours: string | undefined, flags: QuietFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { quietHours } =
          hours === undefined
            ? await center.get<SettingsAnswer>('/v1/settings')
            : await center.send<SettingsAnswer>('PATCH', '/v1/settings', { quietHours: quietHoursOf(hours, flags) });
        output.event({ event: 'quiet-hours', quietHours });
        output.result([quietHours === null ? 'There are no quiet hours.' : inWords(quietHours)]);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center quiet-hours 01:30-03:00 --timezone Europe/Oslo', 'no cycle starts then; one under way ends'],
    ['speil center quiet-hours off', 'cycles at any hour'],
  ]);
}

function quietHoursOf(text: string, { timezone }: QuietFlags): QuietHours | null {
  if (text === 'off') return null;
  const [, from, to] = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(text) ?? [];
  const [fromMinute, toMinute] = [minuteOf(from), minuteOf(to)];
  if (fromMinute === null || toMinute === null || fromMinute === toMinute) {
    throw new SpeilError('USAGE', `${text} are no quiet hours.`, {
      hint: 'Write 01:30-03:00, or 23:00-06:00 over midnight.',
    });
  }
  if (timezone === undefined) {
    throw new SpeilError('USAGE', 'Quiet hours need a time zone.', { hint: 'Add --timezone Europe/Oslo, or UTC.' });
  }
  return { fromMinute, toMinute, timezone };
}

function minuteOf(text = ''): number | null {
  const [hours = Number.NaN, minutes = Number.NaN] = text.split(':').map(Number);
  return hours < 24 && minutes < 60 ? hours * 60 + minutes : null;
}

const inWords = ({ fromMinute, toMinute, timezone }: QuietHours): string =>
  `Quiet hours: ${timeOf(fromMinute)}-${timeOf(toMinute)} (${timezone}).`;

const timeOf = (minute: number): string =>
  [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, '0')).join(':');

type WebhookFlags = CenterFlags & { readonly urlFile?: string };

export function webhookCommand(shell: Shell): Command {
  const command = centerCall('webhook', 'Show or change where alerts are posted.')
    .argument('[url]', 'https://…, or off')
    .option('--url-file <file>', 'file that holds the address, or - for standard input')
    .action((url: string | undefined, flags: WebhookFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const given = await webhookOf(shell, url, flags);
        const { webhook, webhookSecret = null } =
          given === undefined
            ? await center.get<Partial<ChangedSettingsAnswer>>('/v1/settings')
            : await center.send<Partial<ChangedSettingsAnswer>>('PATCH', '/v1/settings', { webhook: given });
        output.event({ event: 'webhook', webhook, ...(webhookSecret === null ? {} : { webhookSecret }) });
        output.result([webhook ? `Alerts are posted to ${webhook}` : 'Alerts are not posted anywhere.']);
        if (webhookSecret !== null) output.result([`They are signed with ${webhookSecret}`]);
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center webhook --url-file -', 'the address from standard input: it is often a password'],
    ['speil center webhook off', 'no alerts'],
  ]);
}

async function webhookOf(
  { environment }: Shell,
  typed: string | undefined,
  { urlFile: file }: WebhookFlags,
): Promise<string | null | undefined> {
  if (typed === 'off') return null;
  return typed === undefined && file === undefined
    ? undefined
    : await readSecret(environment, { typed, file, option: 'url' });
}
