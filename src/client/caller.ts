import type { Clock } from '../core/clock.ts';
import { errorReport, SpeilError } from '../core/error.ts';
import type { CallName } from './exchange.ts';
import {
  type Admission,
  type HookContext,
  type Hooks,
  type NoticeKind,
  runHook,
  slowNotes,
  tellHook,
} from './hooks.ts';

/** What a hook may have the task carry: it travels with every call. */
const CLIENT_STATE_LENGTH_MAX = 4_000;

type CallerOptions = {
  readonly clock: Clock;
  readonly hooks?: Hooks | undefined;
  readonly onEvent?: ((context: HookContext, kind: NoticeKind, message: string) => void) | undefined;
};

/** Whose call it is, with the hooks and the log that hear of it. */
export class Caller {
  readonly clock: Clock;
  readonly hooks: Hooks;
  readonly context: HookContext;
  readonly #onEvent: CallerOptions['onEvent'];

  constructor({ clock, hooks = {}, onEvent }: CallerOptions, context: HookContext) {
    this.clock = clock;
    this.hooks = hooks;
    this.context = context;
    this.#onEvent = onEvent;
  }

  tell(kind: NoticeKind, message: string): void {
    this.#onEvent?.(this.context, kind, message);
    tellHook(this.hooks, this.context, kind, message);
  }

  /** Runs a hook; what was wrong with it is told, and answered as notes. */
  async run(
    name: string,
    hook: (hooks: Hooks, context: HookContext) => void | Promise<void>,
  ): Promise<readonly string[]> {
    const notes = await runHook(name, async () => hook(this.hooks, this.context), this.clock);
    for (const note of notes) this.tell('warning', note);
    return notes;
  }

  /** Runs a call; its failure is told and thrown on. */
  async told<T>(call: CallName, work: (caller: Caller) => Promise<T>): Promise<T> {
    try {
      return await work(this);
    } catch (error) {
      const { code, message } = errorReport(error);
      this.tell('error', `${call}: ${message} (${code})`);
      throw error;
    }
  }
}

type Admitted = {
  readonly doNotReplicate: string | null;
  readonly clientState: string;
  readonly notes: readonly string[];
};

/** Asks the owner whether a cycle may begin. */
export async function admit(caller: Caller): Promise<Admitted> {
  const { hooks, context, clock } = caller;
  const startedMs = clock.monotonicMs();
  const admission = await Promise.try(async () => checked(await hooks.onAuthenticate?.(context))).catch(refuse);
  const notes = slowNotes('onAuthenticate', clock.monotonicMs() - startedMs);
  for (const note of notes) caller.tell('warning', note);
  const { doNotReplicate = null, clientState = context.clientState } = admission;
  return { doNotReplicate, clientState, notes };
}

/** Hooks are JavaScript: what they answer is looked at before it is believed. */
function checked(answer: unknown): Admission {
  if (answer === undefined || answer === null) return {};
  const { doNotReplicate, clientState } = answer as Readonly<Record<keyof Admission, unknown>>;
  if (doNotReplicate !== undefined && typeof doNotReplicate !== 'string') {
    throw new TypeError('doNotReplicate must be a text that says why');
  }
  if (clientState !== undefined && typeof clientState !== 'string') throw new TypeError('clientState must be a text');
  if ((clientState?.length ?? 0) > CLIENT_STATE_LENGTH_MAX) {
    throw new RangeError(`clientState is longer than ${CLIENT_STATE_LENGTH_MAX} characters`);
  }
  return { doNotReplicate, clientState };
}

function refuse(cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause);
  throw new SpeilError('FORBIDDEN', `the mirror's owner refused the cycle: hook onAuthenticate failed: ${why}`, {
    hint: 'Mend the hook. To skip cycles without an error it answers { doNotReplicate: "why" }.',
    cause,
  });
}
