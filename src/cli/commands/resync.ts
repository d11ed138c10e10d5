import type { Command } from 'commander';
import { EXIT_DONE } from '../exit-code.ts';
import { plural } from '../format.ts';
import {
  ARGUMENT_HELD_MIRROR,
  attempt,
  type CommonFlags,
  examples,
  newCommand,
  type Shell,
  withJson,
  withTenant,
} from '../shell.ts';
import { printable } from '../text.ts';

export function resyncCommand(shell: Shell): Command {
  const command = withJson(
    withTenant(newCommand('resync', 'Have tables copied again by the next cycle, these and these only.')),
  )
    .argument('<mirror>', ARGUMENT_HELD_MIRROR)
    .argument('<table...>', 'names as `speil status` shows them')
    .action((mirror: string, tables: readonly string[], flags: CommonFlags) => runResync(shell, mirror, tables, flags));
  return examples(
    command,
    [
      ['speil resync crm-mirror.db person', 'copy one table again'],
      ['speil resync postgres://owner@here/crm person sales.invoice', 'copy two tables again'],
    ],
    'Readers of the mirror keep the rows they have until the new copy is complete.',
  );
}

const runResync = (shell: Shell, mirror: string, tables: readonly string[], flags: CommonFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { resync } = await import('../../mirror.ts');
    const { resynced } = await resync(mirror, tables, { tenant: flags.tenant });
    output.event({ event: 'resync', resynced });
    const names = resynced.map(printable).join(', ');
    output.result([`The next cycle copies ${plural(resynced.length, 'table')} again: ${names}.`]);
    return EXIT_DONE;
  });
