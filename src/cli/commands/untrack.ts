import type { Command } from 'commander';
import { EXIT_DONE } from '../exit-code.ts';
import { ARGUMENT_SOURCE, attempt, type CommonFlags, examples, newCommand, type Shell, withJson } from '../shell.ts';
import { printable } from '../text.ts';

export function untrackCommand(shell: Shell): Command {
  const command = withJson(newCommand('untrack', 'Remove everything that Speil put into a source.'))
    .argument('<source>', ARGUMENT_SOURCE)
    .action((source: string, flags: CommonFlags) => runUntrack(shell, source, flags));
  return examples(
    command,
    [
      ['speil untrack crm.db', 'remove the change tracking from a SQLite file'],
      ['speil untrack postgres://owner@db/crm', 'remove it from a PostgreSQL database'],
    ],
    'Your tables and rows are not touched. A later `speil mirror` starts with a new copy.',
  );
}

const runUntrack = (shell: Shell, source: string, flags: CommonFlags): Promise<void> =>
  attempt(shell, flags, async (output) => {
    const { untrack } = await import('../../mirror.ts');
    const { removed } = await untrack(source);
    output.event({ event: 'untrack', removed });
    output.result(
      removed.length === 0
        ? ['There was nothing to remove.']
        : ['Removed:', ...removed.map((what) => `  ${printable(what)}`)],
    );
    return EXIT_DONE;
  });
