import { SpeilError } from '../../core/error.ts';
import type { ApiToken } from '../model.ts';

/** Requests that wait at the same time with one token: a program that follows, and a person beside it, wait in a few. */
export const WAITS_OF_TOKEN_MAX = 20;
/** And with all of them. Each asks the database again and again, which has to have time for the cycles. */
export const WAITS_MAX = 100;

/** Counts the requests that wait for something to happen, so that nobody keeps the database busy with waiting. */
export class Waits {
  readonly #ofTokens = new Map<string, number>();
  #count = 0;

  /** Lets one more wait until it is disposed. Throws `UNREACHABLE`, to be asked again, when too many do. */
  begin({ id }: Pick<ApiToken, 'id'>): Disposable {
    const ofToken = this.#ofTokens.get(id) ?? 0;
    if (ofToken >= WAITS_OF_TOKEN_MAX || this.#count >= WAITS_MAX) throw tooMany();
    this.#ofTokens.set(id, ofToken + 1);
    this.#count += 1;
    return { [Symbol.dispose]: () => this.#end(id) };
  }

  #end(id: string): void {
    this.#count -= 1;
    const left = (this.#ofTokens.get(id) ?? 1) - 1;
    if (left > 0) this.#ofTokens.set(id, left);
    else this.#ofTokens.delete(id);
  }
}

const tooMany = (): SpeilError =>
  new SpeilError('UNREACHABLE', 'too many requests wait for something to happen', {
    hint: `Ask again in some seconds, or without waitSeconds; ${WAITS_OF_TOKEN_MAX} may wait with one token.`,
    recovery: 'retry',
  });
