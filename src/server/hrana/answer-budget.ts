import { SpeilError } from '../../core/error.ts';
import { answerBytes, answerTooLarge } from './answer-size.ts';
import { ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, SMALL_ANSWER_BYTES } from './limits.ts';
import type { Answer } from './messages.ts';
import { asStatementError } from './protocol-error.ts';

/** Bytes of answers that are held for clients which have not taken them yet, of all clients together. */
export class AnswerBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number = ANSWERS_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get taken(): number {
    return this.#bytes;
  }

  /** False when there is no room for so many more. A small answer is no matter. */
  take(bytes: number): boolean {
    if (bytes > SMALL_ANSWER_BYTES && this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What is sent to a client at once, until it is sent. */
export class AnswerShare implements Disposable {
  readonly #budget: AnswerBudget;
  #bytes = 0;

  constructor(budget: AnswerBudget) {
    this.#budget = budget;
  }

  /** The answer; when it is too large, with those before it or with those for others, the failure that says so. */
  fit(answer: Answer): Answer {
    const bytes = answerBytes(answer);
    if (this.#bytes + bytes > ANSWER_BYTES_MAX) return { kind: 'error', error: asStatementError(answerTooLarge()) };
    if (!this.#budget.take(bytes)) return { kind: 'error', error: asStatementError(budgetUsedUp()) };
    this.#bytes += bytes;
    return answer;
  }

  [Symbol.dispose](): void {
    this.#budget.give(this.#bytes);
    this.#bytes = 0;
  }
}

const budgetUsedUp = (): SpeilError =>
  new SpeilError('SERVER_BUSY', 'clients have not taken as much as the server can hold for them', {
    hint: 'The statement was carried out. Read its rows again later, or by a cursor.',
    recovery: 'retry',
  });
