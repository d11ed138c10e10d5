import type { WireOutcome, WireStep } from '../executor/protocol.ts';
import { Outcome } from '../executor/protocol.ts';
import { splitStatements } from '../sql-text.ts';
import { classify, needsOf, type ProgramNeeds, type StatementTraits } from './classify.ts';

/** What is known of a text: what its statements do, and whether it took no time when it ran last. */
type TextEntry = { readonly traits: readonly StatementTraits[]; isFast: boolean };

/** Texts that are remembered: an application has hundreds, not more. */
const TEXTS_MAX = 4_000;

/** Longer texts are looked at each time. */
const TEXT_CHARACTERS_MAX = 16_384;

/** Texts that are so long are not looked at but taken for what needs most, since looking takes time from everybody. */
const UNREAD_CHARACTERS_MIN = 1_048_576;

const UNREAD: readonly StatementTraits[] = [
  { kind: 'write', verb: '', isExplain: false },
  { kind: 'begin', verb: '', isExplain: false },
];

/** A statement that ran longer is not sent together with others. */
const FAST_MS = 1;

/** Remembers the texts of statements, so that each is read once. */
export class TextMemory {
  readonly #entries = new Map<string, TextEntry>();

  needs(steps: readonly WireStep[]): ProgramNeeds {
    const only = steps.length === 1 ? steps[0] : undefined;
    if (only !== undefined) return needsOf(this.#entry(only[0]).traits);
    return needsOf(steps.flatMap(([sql]) => this.#entry(sql).traits));
  }

  isFast(steps: readonly WireStep[]): boolean {
    return steps.every(([sql]) => this.#entries.get(sql)?.isFast === true);
  }

  /** Notes how long each took. */
  learn(steps: readonly WireStep[], outcomes: readonly WireOutcome[]): void {
    for (let index = 0; index < outcomes.length; index++) {
      const outcome = outcomes[index];
      const entry = this.#entries.get(steps[index]?.[0] ?? '');
      if (entry !== undefined && outcome?.[0] === Outcome.result) entry.isFast = outcome[7] <= FAST_MS;
    }
  }

  #entry(sql: string): TextEntry {
    const kept = this.#entries.get(sql);
    if (kept !== undefined) return kept;
    if (sql.length >= UNREAD_CHARACTERS_MIN) return { traits: UNREAD, isFast: false };
    const entry = { traits: splitStatements(sql).map(classify), isFast: false };
    if (sql.length <= TEXT_CHARACTERS_MAX) this.#keep(sql, entry);
    return entry;
  }

  /** The oldest goes first; what is used all the time is read again soon, which costs little. */
  #keep(sql: string, entry: TextEntry): void {
    this.#entries.set(sql, entry);
    if (this.#entries.size <= TEXTS_MAX) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
