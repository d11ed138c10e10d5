import type { Clock } from '../core/clock.ts';
import type { ErrorReport } from '../core/error.ts';
import type { CycleReport, TaskEvent } from '../task/report.ts';
import { type Environment, isTerminal, type TextStream } from './environment.ts';
import {
  advanceFollow,
  describeFollow,
  type FollowState,
  hasChanges,
  isEventful,
  mergeCycles,
  startFollow,
} from './follow-state.ts';
import { formatDuration } from './format.ts';
import { type LiveView, repeat, startLiveView } from './live-view.ts';
import { inWords, type Output } from './output.ts';
import { advanceProgress, copies, type ProgressState, startProgress, tickProgress } from './progress-state.ts';
import { describeCopied, describeProgress, renderProgress } from './progress-view.ts';
import { cycleLine, renderCycle, roundLine } from './report-view.ts';
import { printable } from './text.ts';

/** Between two lines about the same work, where lines cannot be rewritten. */
const LINE_MS = 3_000;

/** Warnings and notes that are remembered so as not to be said again; more are forgotten and said again. */
const REMARKS_MAX = 10_000;

export type Rhythm = 'once' | 'every' | 'follow';

/** Presents the events of a task. */
export interface MirrorReporter {
  readonly onEvent: (event: TaskEvent) => void;
  /** The last thing that was told, when that is a finished cycle; null otherwise. */
  readonly lastCycle: () => CycleReport | null;
  /** Says what is still unsaid and leaves the terminal as it was. */
  stop(): Promise<void>;
}

export function reportMirror(output: Output, environment: Environment, rhythm: Rhythm): MirrorReporter {
  if (output.json) return jsonReporter(output);
  const live = !output.quiet && isTerminal(environment.stderr, environment.variables);
  return new PeopleReporter({ output, rhythm, live, clock: environment.clock, stream: environment.stderr });
}

/** With `--quiet` only these. */
const LOUD: ReadonlySet<TaskEvent['event']> = new Set(['cycle', 'table-failed', 'warning', 'retry'] as const);

function jsonReporter(output: Output): MirrorReporter {
  let last: CycleReport | null = null;
  const onEvent = (event: TaskEvent) => {
    last = event.event === 'cycle' ? event : null;
    if (!output.quiet || LOUD.has(event.event)) output.event(event);
    if (event.event === 'table-failed') complainOfTable(output, event.table, event.error);
    if (event.event === 'cycle' && event.error !== undefined) complainOf(output, event.error);
  };
  return { onEvent, lastCycle: () => last, stop: async () => {} };
}

const complainOf = (output: Output, error: ErrorReport): void => output.complain('error', inWords(error), error.hint);

const complainOfTable = (output: Output, table: string, error: ErrorReport): void =>
  output.complain('error', `${table}: ${inWords(error)}`, error.hint);

type PeopleOptions = {
  readonly output: Output;
  readonly rhythm: Rhythm;
  readonly live: boolean;
  readonly clock: Clock;
  readonly stream: TextStream;
};

class PeopleReporter implements MirrorReporter {
  readonly #options: PeopleOptions;
  readonly #stopped = new AbortController();
  readonly #talking: Promise<void>;
  readonly #view: LiveView | null;
  #progress: ProgressState;
  #follow: FollowState;
  #working = false;
  #last: CycleReport | null = null;
  #cycles = 0;
  /** Rounds of a task that follows, not yet told. */
  #untold: CycleReport | null = null;
  /** Failures of tables that were told, by table: rounds that follow each other closely fail again and again. */
  readonly #told = new Map<string, string>();
  readonly #remarks = new Set<string>();

  constructor(options: PeopleOptions) {
    this.#options = options;
    this.#progress = startProgress(this.#now());
    this.#follow = startFollow(this.#now());
    this.#view = options.live ? startLiveView({ ...options, render: () => this.#frame() }) : null;
    this.#talking = this.#talk();
  }

  readonly onEvent = (event: TaskEvent): void => {
    this.#progress = advanceProgress(this.#progress, event, this.#now());
    if (event.event === 'cycle') this.#above(() => this.#endCycle(event));
    else if (event.event === 'cycle-started') this.#beginCycle();
    else this.#above(() => this.#tell(event), isSpoken(event, this.#options.live));
  };

  readonly lastCycle = (): CycleReport | null => this.#last;

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#talking;
    await this.#view?.stop();
    this.#tellRounds();
  }

  #now(): number {
    return this.#options.clock.monotonicMs();
  }

  #above(write: () => void, spoken = true): void {
    if (!spoken) return;
    if (this.#view === null) write();
    else this.#view.above(write);
  }

  #beginCycle(): void {
    this.#working = true;
    this.#last = null;
    this.#told.clear();
  }

  #tell(event: Exclude<TaskEvent, CycleReport>): void {
    const { output } = this.#options;
    if (event.event === 'warning' && this.#isNews(event)) output.complain('warning', about(event), null);
    if (event.event === 'note' && this.#isNews(event)) output.say(printable(about(event)));
    if (event.event === 'table-failed') this.#tellFailure(event.table, event.error);
    if (event.event === 'copy-completed') this.#tellCopied(event.table);
    if (event.event === 'retry') {
      output.complain('warning', inWords(event.error), event.error.hint);
      output.say(`Trying again in ${formatDuration(event.delayMs)}.`);
    }
  }

  /** What is true of every round is said once. */
  #isNews(remark: Remark): boolean {
    const text = about(remark);
    if (this.#remarks.has(text)) return false;
    if (this.#remarks.size >= REMARKS_MAX) this.#remarks.clear();
    this.#remarks.add(text);
    return true;
  }

  #tellCopied(name: string): void {
    const table = this.#progress.tables.get(name);
    if (table !== undefined) this.#options.output.say(describeCopied(table));
  }

  #tellFailure(table: string, error: ErrorReport): void {
    if (this.#told.get(table) === error.message) return;
    this.#told.set(table, error.message);
    complainOfTable(this.#options.output, table, error);
  }

  #endCycle(report: CycleReport): void {
    this.#working = false;
    this.#last = report;
    this.#cycles += 1;
    this.#follow = advanceFollow(this.#follow, report, this.#now());
    for (const { table, error } of report.tables) {
      if (error === undefined) this.#told.delete(table);
      else this.#tellFailure(table, error);
    }
    if (report.error !== undefined) complainOf(this.#options.output, report.error);
    this.#summarize(report);
  }

  #summarize(report: CycleReport): void {
    const { output, rhythm } = this.#options;
    const render = output.quiet ? (cycle: CycleReport) => [cycleLine(cycle, output.paintResult)] : renderAll(output);
    if (this.#cycles === 1) output.result(render(report));
    else if (rhythm === 'follow' && report.error === undefined) this.#keepRound(report);
    else if (rhythm !== 'every' || isEventful(report)) output.result([stamped(report, output)]);
  }

  #keepRound(report: CycleReport): void {
    if (hasChanges(report)) this.#untold = this.#untold === null ? report : mergeCycles(this.#untold, report);
  }

  #tellRounds(): void {
    const { output } = this.#options;
    if (this.#untold !== null && !output.quiet) output.result([`${timeOf(this.#untold)} ${roundLine(this.#untold)}`]);
    this.#untold = null;
  }

  /** Where lines cannot be rewritten: how the work stands. Everywhere: the rounds of the last seconds as one line. */
  async #talk(): Promise<void> {
    let first = true;
    await repeat(this.#options.clock, LINE_MS, this.#stopped.signal, () => {
      if (!first) this.#above(() => this.#tellRounds(), this.#untold !== null);
      if (!first && this.#working && this.#view === null) this.#sayProgress();
      first = false;
    });
  }

  #sayProgress(): void {
    this.#progress = tickProgress(this.#progress, this.#now());
    if (this.#progress.tables.size > 0) this.#options.output.say(describeProgress(this.#progress));
  }

  #frame(): readonly string[] {
    this.#progress = tickProgress(this.#progress, this.#now());
    const { stream, output, rhythm } = this.#options;
    const screen = { width: stream.columns ?? 80, height: stream.rows ?? 24, paint: output.paint };
    if (rhythm === 'follow' && this.#cycles > 0 && copies(this.#progress).length === 0) {
      return [describeFollow(this.#follow, this.#now())];
    }
    return this.#working && this.#progress.tables.size > 0 ? renderProgress(this.#progress, screen, this.#now()) : [];
  }
}

/** Events that make lines; on a terminal a finished copy is a full bar already. */
const isSpoken = (event: TaskEvent, live: boolean): boolean =>
  event.event === 'warning' ||
  event.event === 'note' ||
  event.event === 'table-failed' ||
  event.event === 'retry' ||
  (event.event === 'copy-completed' && !live);

type Remark = { readonly table: string | null; readonly message: string };

const about = ({ table, message }: Remark): string => (table === null ? message : `${table}: ${message}`);

const renderAll = (output: Output) => (report: CycleReport) => renderCycle(report, output.paintResult);

const stamped = (report: CycleReport, output: Output): string =>
  `${timeOf(report)} ${cycleLine(report, output.paintResult)}`;

/** UTC, as everything that Speil says about time. */
const timeOf = (report: CycleReport): string => `${report.finishedAt.slice(11, 19)}Z`;
