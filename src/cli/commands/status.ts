import type { Command } from 'commander';
import { EXIT_DONE } from '../exit-code.ts';
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
import { renderStatus } from '../status-view.ts';

export function statusCommand(shell: Shell): Command {
  const command = withJson(withTenant(newCommand('status', 'Say how far a mirror has come; reads the mirror alone.')))
    .argument('<mirror>', ARGUMENT_HELD_MIRROR)
    .action((mirror: string, flags: CommonFlags) => runStatus(shell, mirror, flags));
  return examples(command, [
    ['speil status crm-mirror.db', 'positions, rows and the last cycle of every table'],
    ['speil status postgres://owner@here/crm --json', 'the same for a program'],
  ]);
}

const runStatus = (shell: Shell, mirror: string, flags: CommonFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { status } = await import('../../mirror.ts');
    const found = await status(mirror, { tenant: flags.tenant });
    output.event({ event: 'status', ...found });
    output.result(renderStatus(found, output.paintResult));
    return EXIT_DONE;
  });
