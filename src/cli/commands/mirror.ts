import type { Command } from 'commander';
import { type ErrorReport, errorReport } from '../../core/error.ts';
import type { MirrorOptions } from '../../mirror.ts';
import type { CycleReport } from '../../task/report.ts';
import type { Environment } from '../environment.ts';
import { EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, exitCodeOf } from '../exit-code.ts';
import { type MirrorReporter, type Rhythm, reportMirror } from '../mirror-reporter.ts';
import { createOutput, inWords, type Output } from '../output.ts';
import { renderPlan } from '../plan-view.ts';
import {
  both,
  CONFIG_SETTINGS,
  collectNames,
  type MirrorSettings,
  mergeSettings,
  parseBatchSize,
  parseDuration,
  parseWipe,
  settingsOfConfig,
  withoutUndefined,
} from '../settings.ts';
import {
  ARGUMENT_MIRROR,
  ARGUMENT_SOURCE,
  attempt,
  examples,
  newCommand,
  outputFlags,
  type Shell,
  withJson,
  withQuiet,
  withTenant,
} from '../shell.ts';

type Flags = MirrorSettings & {
  readonly config?: string;
  readonly skipTables?: readonly string[];
  readonly onlyTables?: readonly string[];
};

type Request = { readonly source: string; readonly mirror: string; readonly settings: MirrorSettings };

export function mirrorCommand(shell: Shell): Command {
  const command = newCommand('mirror', 'Bring a mirror up to date with its source, once or for ever.')
    .argument('<source>', ARGUMENT_SOURCE)
    .argument('<mirror>', ARGUMENT_MIRROR)
    .option('--every <time>', 'run a cycle this often: 20m, 90s, 1h', parseDuration)
    .option('--follow', 'keep following: changes arrive within a second')
    .option('--plan', 'say what would happen, and change nothing')
    .option('--batch-size <bytes>', 'size of a batch (default: 1000000)', parseBatchSize)
    .option('--skip-table <names>', 'do not mirror these; their mirror tables are dropped', collectNames)
    .option('--only-table <names>', 'mirror only these, leave all others alone', collectNames)
    .option('--schema <names>', 'mirror the tables of these schemas only', collectNames)
    .option('--take-over', 'accept a mirror that was made from another source, and copy everything again')
    .option('--wipe <how>', 'copy again behind the scenes (shadow) or in the table itself (in-place)', parseWipe)
    .option('--config <file>', 'read settings from a JSON file; flags win');
  withJson(withQuiet(withTenant(command)));
  for (const name of ['--skip-tables <names>', '--only-tables <names>']) {
    command.addOption(command.createOption(name).argParser(collectNames).hideHelp());
  }
  command.action((source: string, target: string, flags: Flags) => runMirror(shell, source, target, flags));
  return examples(command, EXAMPLES, NOTES);
}

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['speil mirror crm.db crm-mirror.db', 'one cycle between two SQLite files'],
  ['speil mirror postgres://reader@db.example.com/crm crm.db --plan', 'what would happen, and nothing else'],
  ['speil mirror postgres://reader@db/crm postgres://owner@here/crm --follow', 'changes arrive within a second'],
  [
    'speil mirror crm.db copy.db --every 20m --skip-table audit_log,session',
    'a cycle every 20 minutes, without two tables',
  ],
  ['speil mirror crm.db copy.db --config crm.json', '{ "every": "20m", "skipTable": ["audit_log"] }'],
];

const NOTES = `A cycle that was interrupted is continued by the next one. Passwords may come from PGPASSWORD or ~/.pgpass.
Exit codes: 0 done; 1 a cycle or table failed; 2 usage or configuration; 130 interrupted.`;

function runMirror(shell: Shell, source: string, target: string, flags: Flags): Promise<void> {
  return attempt(shell, flags, async () => {
    const settings = readSettings(shell, flags);
    const output = createOutput(shell.environment, outputFlags(settings));
    const request = { source, mirror: target, settings };
    return settings.plan === true ? showPlan(shell.environment, request, output) : keepMirror(shell, request, output);
  });
}

function readSettings({ environment }: Shell, flags: Flags): MirrorSettings {
  const { config, skipTables, onlyTables, ...settings } = flags;
  const given = {
    ...settings,
    ...withoutUndefined({
      skipTable: both(settings.skipTable, skipTables),
      onlyTable: both(settings.onlyTable, onlyTables),
    }),
  };
  if (config === undefined) return mergeSettings({}, given);
  return mergeSettings(settingsOfConfig(config, environment.readConfig(config, CONFIG_SETTINGS)), given);
}

async function showPlan({ signal }: Environment, request: Request, output: Output): Promise<number> {
  const { plan } = await import('../../mirror.ts');
  const planned = await plan({ ...optionsOf(request), signal });
  output.event({ event: 'plan', ...planned });
  output.result(renderPlan(planned, output.paintResult));
  return EXIT_DONE;
}

async function keepMirror(shell: Shell, request: Request, output: Output): Promise<number> {
  const { mirror } = await import('../../mirror.ts');
  const { signal, clock } = shell.environment;
  const startedAt = new Date(clock.now()).toISOString();
  const reporter = reportMirror(output, shell.environment, rhythmOf(request.settings));
  const run = mirror({ ...optionsOf(request), signal, onEvent: reporter.onEvent });
  const [outcome] = await Promise.allSettled([run]);
  await reporter.stop();
  if (outcome.status === 'fulfilled') return finish(outcome.value, reporter, output);
  const finishedAt = new Date(clock.now()).toISOString();
  return fail(errorReport(outcome.reason), reporter, output, { startedAt, finishedAt });
}

const rhythmOf = ({ every, follow }: MirrorSettings): Rhythm =>
  follow === true ? 'follow' : every === undefined ? 'once' : 'every';

function optionsOf({ source, mirror: target, settings }: Request): MirrorOptions {
  return {
    source,
    mirror: target,
    everyMs: settings.every,
    follow: settings.follow,
    batchBytes: settings.batchSize,
    skipTables: settings.skipTable,
    onlyTables: settings.onlyTable,
    schemas: settings.schema,
    tenant: settings.tenant,
    takeOver: settings.takeOver,
    wipe: settings.wipe,
  };
}

function finish(report: CycleReport, reporter: MirrorReporter, output: Output): number {
  if (reporter.lastCycle() === null) output.event(report);
  if (report.error !== undefined) return exitCodeOf(report.error.code);
  return report.status === 'completed' ? EXIT_DONE : EXIT_FAILED;
}

/** The last line of `--json` is a cycle even when it never got that far; a failure of usage has none. */
function fail(
  error: ErrorReport,
  reporter: MirrorReporter,
  output: Output,
  times: { readonly startedAt: string; readonly finishedAt: string },
): number {
  const code = exitCodeOf(error.code);
  const last = reporter.lastCycle();
  if (code === EXIT_INTERRUPTED) output.say(`Interrupted. ${CONTINUE_HINT}`);
  else if (last?.error?.message !== error.message) output.complain('error', inWords(error), error.hint);
  if (last !== null) return code;
  output.event({ event: 'error', ...error });
  if (code !== EXIT_USAGE) {
    output.event({ event: 'cycle', status: 'failed', tables: [], bytes: 0, error, ...times } satisfies CycleReport);
  }
  return code;
}

const CONTINUE_HINT = 'Nothing is lost: the same command continues where this one ended.';
