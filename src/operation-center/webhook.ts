import { createHmac } from 'node:crypto';
import type { Clock, Random } from '../core/clock.ts';

/** A webhook only takes note; who takes longer is tried again. */
const ANSWER_WAIT_MS = 10_000;
/** Waits between the attempts: a restart of the receiver takes seconds, a deployment minutes. Then it is given up. */
const WAITS_MS = [5_000, 15_000, 45_000, 120_000, 300_000, 300_000, 300_000] as const;
/** Messages that may wait while the receiver does not answer; further ones are dropped, and the log says so. */
export const MESSAGES_MAX = 1_000;

export type WebhookMessage = { readonly id: string; readonly body: string };

/** Where messages go, and what they are signed with; null for nowhere. */
export type WebhookTarget = { readonly url: string; readonly secret: string } | null;

export type WebhookOptions = {
  readonly clock: Clock;
  readonly random: Pick<Random, 'unit'>;
  /** Asked before each message, so that a change counts at once. */
  readonly target: () => Promise<WebhookTarget>;
  /** A message was given up or dropped, and why. Never holds the address. */
  readonly onLost: (message: WebhookMessage, why: string) => void;
};

/**
 * Posts messages in their order, one at a time, in the background. As the Standard Webhooks specification has it: headers
 * `webhook-id`, `webhook-timestamp` and `webhook-signature`, where the signature is `v1,` and HMAC-SHA256 in base64 over
 * `<id>.<timestamp>.<body>`. Redirects are not followed.
 */
export class Webhook implements AsyncDisposable {
  readonly #options: WebhookOptions;
  readonly #waiting: WebhookMessage[] = [];
  readonly #ending = new AbortController();
  #posting: Promise<void> | null = null;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  /** Returns at once. */
  post(message: WebhookMessage): void {
    if (this.#ending.signal.aborted) return;
    if (this.#waiting.length >= MESSAGES_MAX) {
      this.#options.onLost(message, `${MESSAGES_MAX} others wait to be posted`);
      return;
    }
    this.#waiting.push(message);
    this.#posting ??= this.#postAll().finally(() => {
      this.#posting = null;
    });
  }

  async #postAll(): Promise<void> {
    for (let message = this.#waiting[0]; message !== undefined; message = this.#waiting[0]) {
      const why = await this.#deliver(message).catch(reasonOf);
      if (this.#ending.signal.aborted) return;
      this.#waiting.shift();
      if (why !== null) this.#options.onLost(message, why);
    }
  }

  /** Answers why it was given up; null when it arrived, or is to go nowhere. */
  async #deliver(message: WebhookMessage): Promise<string | null> {
    for (const waitMs of [...WAITS_MS, null]) {
      const { failure, final } = await this.#attempt(message);
      if (failure === null || final || waitMs === null) return failure;
      await this.#options.clock.sleep(waitMs * (0.75 + this.#options.random.unit() / 2), this.#ending.signal);
    }
    return null;
  }

  async #attempt(message: WebhookMessage): Promise<Attempt> {
    const done = new AbortController();
    const { clock } = this.#options;
    const late = new AbortController();
    clock.sleep(ANSWER_WAIT_MS, done.signal).then(
      () => late.abort(new Error(`no answer within ${ANSWER_WAIT_MS / 1000} s`)),
      () => undefined,
    );
    try {
      const target = await this.#options.target();
      if (target === null) return { failure: null, final: true };
      const signal = AbortSignal.any([this.#ending.signal, late.signal]);
      const response = await fetch(target.url, { ...signedRequest(target.secret, message, clock.now()), signal });
      await response.body?.cancel();
      return judge(response.status);
    } catch (error) {
      return { failure: reasonOf(error), final: false };
    } finally {
      done.abort();
    }
  }

  /** Ends at once; what still waits is not posted. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error('the center ends'));
    await this.#posting;
  }
}

type Attempt = { readonly failure: string | null; readonly final: boolean };

/** Statuses of the 400s that pass; the others say that the message will never be taken. */
const PASSING = [408, 425, 429];

function judge(status: number): Attempt {
  if (status >= 200 && status < 300) return { failure: null, final: true };
  const final = status >= 300 && status < 500 && !PASSING.includes(status);
  return { failure: `it answered ${status}${status < 400 ? ', and redirects are not followed' : ''}`, final };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}

function signedRequest(secret: string, { id, body }: WebhookMessage, nowMs: number): RequestInit {
  const timestamp = String(Math.floor(nowMs / 1000));
  return {
    method: 'POST',
    redirect: 'manual',
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'speil',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signature(secret, `${id}.${timestamp}.${body}`),
    },
  };
}

/** `secret` as the store makes it: `whsec_` and the key in base64. */
export function signature(secret: string, text: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(text).digest('base64')}`;
}
