import type { Command } from 'commander';
import type { EventAnswer, RunAnswer, RunSummaryAnswer } from '../../operation-center/api/schemas.ts';
import type { StatusAnswer } from '../../operation-center/api/status.ts';
import { type CenterClient, type CenterFlags, path, patiently } from '../center-client.ts';
import { centerCall, parseWhole, showTable, withCenter } from '../center-shell.ts';
import { describeRun, eventLine, RUN_HEADING, runRow, STATUS_HEADING, statusRow, summaryLine } from '../center-view.ts';
import type { Output } from '../output.ts';
import { examples, type Shell } from '../shell.ts';

export function statusCommand(shell: Shell): Command {
  const command = centerCall('status', 'Say how each mirror is doing.')
    .argument('[tenant]', 'of one tenant (default: all)')
    .action((tenant: string | undefined, flags: CenterFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const status = await center.get<StatusAnswer>('/v1/status', { tenant });
        const nowMs = shell.environment.clock.now();
        output.event({ event: 'status', ...status });
        showTable(output, shell.environment, {
          heading: STATUS_HEADING,
          rows: status.mirrors.map((mirror) => statusRow(mirror, nowMs)),
          none: 'There are no mirrors.',
        });
        tellErrors(output, status);
        output.say(summaryLine(status));
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center status', 'every mirror'],
    ['speil center status acme --json', "one tenant's, for a program"],
  ]);
}

function tellErrors(output: Output, { mirrors }: StatusAnswer): void {
  if (output.json) return;
  for (const { tenant, application, lastRun } of mirrors) {
    if (lastRun === null || lastRun.error === null) continue;
    const { message, code, hint } = lastRun.error;
    output.complain('error', `${tenant} for ${application}: ${message} (${code})`, hint);
  }
}

type RunsFlags = CenterFlags & { readonly application?: string; readonly limit?: number; readonly run?: string };

export function runsCommand(shell: Shell): Command {
  const command = centerCall('runs', "List a tenant's runs, newest first.")
    .argument('<tenant>')
    .option('--application <name>', 'of one of its mirrors')
    .option('--limit <count>', 'at most so many (default: 20)', parseWhole)
    .option('--run <id>', 'one of them, with every table')
    .action((tenant: string, flags: RunsFlags) =>
      withCenter(shell, flags, async (center, output) => {
        if (flags.run !== undefined) return await showRun(center, output, flags.run);
        const { application, limit } = flags;
        const runs = await center.get<readonly RunSummaryAnswer[]>(path`/v1/tenants/${tenant}/runs`, {
          application,
          limit,
        });
        for (const run of runs) output.event({ event: 'run', ...run });
        showTable(output, shell.environment, {
          heading: RUN_HEADING,
          rows: runs.map(runRow),
          none: 'There are no runs yet.',
        });
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center runs acme', 'the last ones'],
    ['speil center runs acme --run <id>', 'what one of them did to each table'],
  ]);
}

async function showRun(center: CenterClient, output: Output, id: string): Promise<undefined> {
  const run = await center.get<RunAnswer>(path`/v1/runs/${id}`);
  output.event({ event: 'run', ...run });
  output.result(describeRun(run));
  if (run.error !== null) output.complain('error', `${run.error.message} (${run.error.code})`, run.error.hint);
}

/** What the center waits before it answers that there is nothing new; it is then asked again. */
const WAIT_SECONDS = 20;

type EventsFlags = CenterFlags & { readonly follow?: boolean; readonly limit?: number; readonly after?: number };

export function eventsCommand(shell: Shell): Command {
  const command = centerCall('events', 'Show the event log.')
    .argument('[tenant]', 'of one tenant (default: all)')
    .option('--follow', 'go on until interrupted')
    .option('--limit <count>', 'at most so many (default: 100)', parseWhole)
    .option('--after <id>', 'only those after this one', parseWhole)
    .action((tenant: string | undefined, flags: EventsFlags) =>
      withCenter(shell, flags, async (center, output) => {
        const { limit, after, follow } = flags;
        const events = await center.get<readonly EventAnswer[]>('/v1/events', { tenant, limit, after });
        tell(output, events);
        if (follow === true)
          await followEvents(shell, center, output, { tenant, after: events.at(-1)?.id ?? after ?? 0 });
        return undefined;
      }),
    );
  return examples(command, [
    ['speil center events acme', 'the newest of one tenant'],
    ['speil center events --follow --json', 'all, one JSON object a line, as they come'],
  ]);
}

async function followEvents(
  { environment }: Shell,
  center: CenterClient,
  output: Output,
  { tenant, after }: { readonly tenant: string | undefined; readonly after: number },
): Promise<never> {
  for (let last = after; ; ) {
    const query = { tenant, after: last, waitSeconds: WAIT_SECONDS };
    const ask = () => center.get<readonly EventAnswer[]>('/v1/events', query);
    const events = await patiently(ask, { environment, output });
    tell(output, events);
    last = events.at(-1)?.id ?? last;
  }
}

function tell(output: Output, events: readonly EventAnswer[]): void {
  for (const event of events) output.event({ event: 'center-event', ...event });
  output.result(events.map((event) => eventLine(event, output.paintResult)));
}
