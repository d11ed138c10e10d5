import { type Command, InvalidArgumentError } from 'commander';
import type { TenantAnswer } from '../../operation-center/api/schemas.ts';
import type { PreferencesAnswer } from '../../operation-center/api/tenants.ts';
import { parseTableList } from '../../task/preferences.ts';
import { type CenterFlags, path } from '../center-client.ts';
import { centerCall, withCenter } from '../center-shell.ts';
import { formatCount } from '../format.ts';
import type { Output } from '../output.ts';
import { parseBatchSize } from '../settings.ts';
import { examples, type Shell } from '../shell.ts';
import { printable } from '../text.ts';

type Change = {
  readonly batchBytes?: number;
  readonly skipTables?: readonly string[];
  readonly blockedTables?: readonly string[];
};

export function preferencesCommand(shell: Shell): Command {
  const command = centerCall('preferences', "Show or change a tenant's preferences.")
    .argument('<tenant>')
    .argument('[settings...]', 'SkipTable=a,b  BatchSize=500000  BlockTable=c (operators only)', collectSetting)
    .action((tenant: string, typed: Change | readonly [], flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        if (Array.isArray(typed)) {
          const { preferences } = await center.get<TenantAnswer>(path`/v1/tenants/${tenant}`);
          show(output, { ...preferences, announced: [] });
        } else
          show(output, await center.send<PreferencesAnswer>('PATCH', path`/v1/tenants/${tenant}/preferences`, typed));
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center preferences acme', 'what they are'],
    ['speil center preferences acme SkipTable=log,session BatchSize=500000', 'changes these two'],
    ['speil center preferences acme SkipTable=', 'skips none'],
  ]);
}

function show(output: Output, { batchBytes, skipTables, blockedTables, announced }: PreferencesAnswer): void {
  output.event({ event: 'preferences', batchBytes, skipTables, blockedTables, announced });
  output.result([
    `BatchSize=${batchBytes} (${formatCount(batchBytes)} bytes)`,
    printable(`SkipTable=${skipTables.join(',')}`),
    printable(`BlockTable=${blockedTables.join(',')}`),
  ]);
  if (announced.length === 0) return;
  output.say(
    `Left out from now on: ${printable(announced.join(', '))}. The next cycle announces that their mirror copies go, the one after it drops them. To keep them, take the names back before.`,
  );
}

/** Preferences by the names that SuperOffice gives them, in any case, with or without the plural. */
function collectSetting(text: string, before: Change = {}): Change {
  const at = text.indexOf('=');
  const name = text.slice(0, Math.max(at, 0)).trim().toLowerCase().replace(/s$/, '');
  const value = text.slice(at + 1);
  if (name === 'skiptable') return { ...before, skipTables: parseTableList(value) };
  if (name === 'blocktable') return { ...before, blockedTables: parseTableList(value) };
  if (name === 'batchsize') return { ...before, batchBytes: parseBatchSize(value) };
  throw new InvalidArgumentError('Write SkipTable=<tables>, BlockTable=<tables> or BatchSize=<bytes>.');
}
