import type { Command } from 'commander';
import { EXIT_DONE } from '../exit-code.ts';
import { ARGUMENT_DATABASE } from '../server-shell.ts';
import { attempt, examples, newCommand, type Shell, withJson } from '../shell.ts';
import { showTransfer } from '../transfer-view.ts';

type RestoreFlags = { readonly data: string; readonly json?: boolean };

export function restoreCommand(shell: Shell): Command {
  const command = withJson(newCommand('restore', 'Make a database of a backup, while the server does not run.'))
    .argument('<file>', 'a SQLite file, of `speil backup` or any other; it stays as it is')
    .requiredOption('--data <folder>', "the server's data folder")
    .argument('<database>', ARGUMENT_DATABASE)
    .action((file: string, name: string, flags: RestoreFlags) =>
      attempt(shell, flags, async (output) => {
        const { restoreDatabase } = await import('../../server.ts');
        {
          await using view = showTransfer(shell, output, `copying ${file}`);
          const { signal } = shell.environment;
          await restoreDatabase({ data: flags.data, name, file, onProgress: view.progress, signal });
        }
        output.event({ event: 'restored', database: name, file, data: flags.data });
        output.result([`Restored ${name} from ${file}. Start the server: speil server --data ${flags.data}`]);
        return EXIT_DONE;
      }),
    );
  return examples(
    command,
    [
      ['speil restore shop-backup.db --data a/ shop', 'the server may be new'],
      ['speil restore shop-backup.db --data a/ shop-monday', 'beside the one that is there'],
    ],
    'It refuses while the server runs, and when there is a database of that name. The history begins anew: a lineage of its\nown. On a running server: `speil database create <name> --from <file>`.',
  );
}
