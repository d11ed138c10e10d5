import type { Command } from 'commander';
import { SpeilError } from '../../core/error.ts';
import type { MirrorAnswer, RunAnswer } from '../../operation-center/api/schemas.ts';
import { type CenterClient, type CenterFlags, path, patiently } from '../center-client.ts';
import { centerCall, withCenter } from '../center-shell.ts';
import { describeRun } from '../center-view.ts';
import { EXIT_DONE, EXIT_FAILED } from '../exit-code.ts';
import type { Output } from '../output.ts';
import { examples, type Shell } from '../shell.ts';
import { printable } from '../text.ts';

/** What the center waits before it answers that there is nothing yet; it is then asked again. */
const WAIT_SECONDS = 20;

type RunFlags = CenterFlags & { readonly application?: string; readonly wait?: boolean };

export function runCommand(shell: Shell): Command {
  const command = centerCall('run', 'Have a cycle start now, also in quiet hours.')
    .argument('<tenant>')
    .option('--application <name>', 'one of its mirrors (default: all of them)')
    .option('--wait', 'until it has ended; exit code 1 when it failed')
    .action((tenant: string, flags: RunFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const applications =
          flags.application === undefined ? await applicationsOf(center, tenant) : [flags.application];
        const asked = await Promise.all(applications.map((application) => ask(center, tenant, application)));
        if (flags.wait !== true) {
          for (const { application } of asked) output.event({ event: 'run-requested', tenant, application });
          output.result(asked.map(({ application }) => `Asked for a cycle of ${tenant} for ${application}.`));
          return EXIT_DONE;
        }
        const codes = await Promise.all(asked.map((one) => tellWhenEnded(shell, center, output, one)));
        return Math.max(...codes);
      }),
    );
  return examples(command, [
    ['speil center run acme', 'all of its mirrors'],
    ['speil center run acme --application crm --wait', 'one, and how it went'],
  ]);
}

async function applicationsOf(center: CenterClient, tenant: string): Promise<readonly string[]> {
  const mirrors = await center.get<readonly MirrorAnswer[]>(path`/v1/tenants/${tenant}/mirrors`);
  if (mirrors.length > 0) return mirrors.map(({ application }) => application);
  throw new SpeilError('NOT_FOUND', `${tenant} has no mirrors.`, { hint: 'speil center mirror add …' });
}

type Asked = { readonly tenant: string; readonly application: string; readonly lastRunId: string | null };

async function ask(center: CenterClient, tenant: string, application: string): Promise<Asked> {
  const { lastRunId } = await center.send<{ readonly lastRunId: string | null }>(
    'POST',
    path`/v1/tenants/${tenant}/mirrors/${application}/run`,
  );
  return { tenant, application, lastRunId };
}

async function tellWhenEnded(
  { environment }: Shell,
  center: CenterClient,
  output: Output,
  asked: Asked,
): Promise<number> {
  const run = await ended(asked, (which, query) =>
    patiently(() => center.get<RunAnswer | null>(which, query), { environment, output }),
  );
  output.event({ event: 'run', ...run });
  output.result(describeRun(run));
  if (run.error !== null) output.complain('error', `${run.error.message} (${run.error.code})`, run.error.hint);
  return run.status === 'failed' ? EXIT_FAILED : EXIT_DONE;
}

type NextRun = (
  path: string,
  query: { readonly after: string | undefined; readonly waitSeconds: number },
) => Promise<RunAnswer | null>;

/** A run that was interrupted is followed by another: the center goes on. */
async function ended({ tenant, application, lastRunId }: Asked, get: NextRun): Promise<RunAnswer> {
  const which = path`/v1/tenants/${tenant}/mirrors/${application}/next-run`;
  for (let after = lastRunId ?? undefined; ; ) {
    const run = await get(which, { after, waitSeconds: WAIT_SECONDS });
    if (run !== null && run.status !== 'interrupted') return run;
    after = run?.id ?? after;
  }
}

type ResyncFlags = CenterFlags & { readonly application: string };

export function resyncCommand(shell: Shell): Command {
  const command = centerCall('resync', 'Have the next cycle copy these tables again, and these only.')
    .argument('<tenant>')
    .argument('<tables...>', 'their names')
    .requiredOption('--application <name>', 'which of its mirrors')
    .action((tenant: string, tables: readonly string[], flags: ResyncFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { application } = flags;
        const which = path`/v1/tenants/${tenant}/mirrors/${application}/resync`;
        const answer = await center.send<{ readonly tables: readonly string[] }>('POST', which, { tables });
        output.event({ event: 'resync', tenant, application, ...answer });
        output.result([`The next cycle copies again: ${printable(answer.tables.join(', '))}.`]);
        output.say(`To have it now: speil center run ${tenant} --application ${application} --wait`);
        return undefined;
      }),
    );
  return examples(command, [['speil center resync acme --application crm person project', 'two tables of one mirror']]);
}
