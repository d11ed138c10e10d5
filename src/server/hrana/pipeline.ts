import { SpeilError } from '../../core/error.ts';
import type { SqlStream } from '../sql.ts';
import type { Answer, StreamRequest } from './messages.ts';
import { carryOut, type Operation, resolve } from './operations.ts';
import { asStatementError } from './protocol-error.ts';
import type { StoredTexts } from './stored-texts.ts';

/** What is to be done for a request of a pipeline. `answered`: nothing any more. */
export type Step = Operation | { readonly kind: 'close' } | { readonly kind: 'answered'; readonly answer: Answer };

/**
 * A pipeline is looked through before any of it is carried out: what is no protocol is refused with nothing done. Stores
 * and closes texts on the way. Throws `PROTOCOL_BROKEN`.
 */
export function plan(requests: readonly StreamRequest[], texts: StoredTexts): readonly Step[] {
  let closed = false;
  return requests.map((request) => {
    if (closed) return AFTER_CLOSE;
    switch (request.kind) {
      case 'close':
        closed = true;
        return request;
      case 'store_sql':
      case 'close_sql':
        return { kind: 'answered', answer: texts.carryOut(request) };
      default:
        return resolve(request, texts);
    }
  });
}

const AFTER_CLOSE: Step = {
  kind: 'answered',
  answer: {
    kind: 'error',
    error: asStatementError(
      new SpeilError('STREAM_CLOSED', 'the stream was closed by an earlier request of the pipeline'),
    ),
  },
};

export const closes = (steps: readonly Step[]): boolean => steps.some(({ kind }) => kind === 'close');

/**
 * One after the other; what fails does not stop the rest. The last operation before a `close` tells the stream that
 * nothing comes after it. Each answer goes through `fit`, which replaces those that are too large. Rejects as the stream does.
 */
export async function runPipeline(
  stream: SqlStream,
  steps: readonly Step[],
  signal: AbortSignal,
  fit: (answer: Answer) => Answer = (answer) => answer,
): Promise<readonly Answer[]> {
  const lastBeforeClose = closes(steps)
    ? steps.findLastIndex(({ kind }) => kind !== 'answered' && kind !== 'close')
    : -1;
  const answers: Answer[] = [];
  for (const [index, step] of steps.entries()) {
    if (step.kind === 'answered') answers.push(step.answer);
    else if (step.kind === 'close') answers.push(await close(stream));
    else answers.push(fit(await carryOut(stream, step, { signal, last: index === lastBeforeClose })));
  }
  return answers;
}

async function close(stream: SqlStream): Promise<Answer> {
  await stream[Symbol.asyncDispose]();
  return { kind: 'close' };
}
