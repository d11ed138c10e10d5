import type { Command } from 'commander';
import type { VerifyProgress, VerifyReport } from '../../verify.ts';
import { isTerminal } from '../environment.ts';
import { EXIT_DIFFERENT, EXIT_DONE, EXIT_FAILED } from '../exit-code.ts';
import { repeat, startLiveView } from '../live-view.ts';
import { inWords, type Output } from '../output.ts';
import { collectNames, withoutUndefined } from '../settings.ts';
import {
  ARGUMENT_HELD_MIRROR,
  ARGUMENT_SOURCE,
  attempt,
  type CommonFlags,
  examples,
  newCommand,
  type Shell,
  withJson,
  withQuiet,
  withTenant,
} from '../shell.ts';
import { describeVerify, renderVerify } from '../verify-view.ts';

type Flags = CommonFlags & { readonly table?: readonly string[]; readonly repair?: boolean };

/** Between two lines about the same work, where lines cannot be rewritten. */
const LINE_MS = 3_000;

export function verifyCommand(shell: Shell): Command {
  const command = newCommand('verify', 'Prove that a mirror equals its source, while writes go on.')
    .argument('<source>', ARGUMENT_SOURCE)
    .argument('<mirror>', ARGUMENT_HELD_MIRROR)
    .option('--table <names>', 'compare only these tables', collectNames)
    .option('--repair', 'copy the rows that differ, and say which they were')
    .action((source: string, mirror: string, flags: Flags) => runVerify(shell, source, mirror, flags));
  withJson(withQuiet(withTenant(command)));
  return examples(command, EXAMPLES, NOTES);
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['speil verify crm.db crm-mirror.db', 'every table, every row'],
  ['speil verify postgres://reader@db/crm crm.db --table person,sale', 'two tables'],
  ['speil verify postgres://reader@db/crm crm.db --repair', 'copy the rows that differ'],
];

const NOTES = `Keys that differ are listed. Differences give exit code 3, also when they were repaired: verify again to see 0.
Exit codes: 0 identical; 1 a table could not be compared; 2 usage; 3 differences; 130 interrupted.`;

function runVerify(shell: Shell, source: string, mirror: string, flags: Flags): Promise<void> {
  return attempt(shell, flags, async (output) => {
    const { verify } = await import('../../verify.ts');
    await using progress = showProgress(shell, output);
    const { signal } = shell.environment;
    const options = withoutUndefined({ tables: flags.table, repair: flags.repair, tenant: flags.tenant });
    const report = await verify({ source, mirror, signal, onProgress: progress.tell, ...options });
    await progress[Symbol.asyncDispose]();
    return present(report, output);
  });
}

function present(report: VerifyReport, output: Output): number {
  output.event({ event: 'verify', ...report });
  output.result(renderVerify(report, output.paintResult));
  for (const { table, error } of report.tables) {
    if (error !== undefined) output.complain('error', `${table}: ${inWords(error)}`, error.hint);
  }
  if (report.tables.some((table) => table.differenceCount > 0)) return EXIT_DIFFERENT;
  if (report.tables.some((table) => table.error !== undefined)) return EXIT_FAILED;
  return report.identical ? EXIT_DONE : EXIT_DIFFERENT;
}

type ProgressDisplay = AsyncDisposable & { readonly tell: (progress: VerifyProgress) => void };

/** A line that is rewritten on a terminal, a line every few seconds elsewhere, events with `--json`. */
function showProgress({ environment }: Shell, output: Output): ProgressDisplay {
  if (output.json || output.quiet) return silentDisplay(output);
  const { stderr, clock } = environment;
  let line = '';
  const tell = (progress: VerifyProgress) => {
    line = describeVerify(progress);
  };
  if (isTerminal(stderr, environment.variables)) {
    const view = startLiveView({ stream: stderr, clock, render: () => (line === '' ? [] : [line]) });
    return { tell, [Symbol.asyncDispose]: () => view.stop() };
  }
  const stopped = new AbortController();
  const talking = repeat(clock, LINE_MS, stopped.signal, () => line !== '' && output.say(line));
  const stop = () => {
    stopped.abort();
    return talking;
  };
  return { tell, [Symbol.asyncDispose]: stop };
}

const silentDisplay = (output: Output): ProgressDisplay => ({
  tell: (progress) => output.quiet || output.event({ event: 'verify-progress', ...progress }),
  [Symbol.asyncDispose]: async () => {},
});
