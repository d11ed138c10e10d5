import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';

/** One thing that was looked at. */
export type Check = {
  /** What was looked at: `key`, `mirror`, `dns`, `tls`. */
  readonly name: string;
  /** Null: it was not looked at, because something before it failed, or nothing was said about it. */
  readonly ok: boolean | null;
  readonly message: string;
  readonly hint: string | null;
};

/** Collects checks. What throws has failed, and is no reason not to go on with the rest. */
export class Checks {
  readonly done: Check[] = [];
  readonly #tell: (check: Check) => void;

  constructor(tell: (check: Check) => void) {
    this.#tell = tell;
  }

  /** Nothing has failed. */
  get isOk(): boolean {
    return this.done.every(({ ok }) => ok !== false);
  }

  /** Runs a check; `work` answers what is fine, in words. Answers whether it was. */
  async run(name: string, work: () => string | Promise<string>): Promise<boolean> {
    try {
      const message = await work();
      this.#add({ name, ok: true, message, hint: null });
      return true;
    } catch (error) {
      this.fail(name, errorReport(error));
      return false;
    }
  }

  fail(name: string, { message, hint }: Pick<ErrorReport, 'message' | 'hint'>): void {
    this.#add({ name, ok: false, message, hint });
  }

  notChecked(names: readonly string[], message: string, hint: string | null = null): void {
    for (const name of names) this.#add({ name, ok: null, message, hint });
  }

  #add(check: Check): void {
    this.done.push(check);
    this.#tell(check);
  }
}

export const failed = (code: SpeilError['code'], message: string, hint: string): SpeilError =>
  new SpeilError(code, message, { hint });
