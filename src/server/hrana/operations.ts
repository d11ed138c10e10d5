import { SpeilError } from '../../core/error.ts';
import type { BatchStep, SqlRequestOptions, SqlStream } from '../sql.ts';
import type { Answer, SqlRequest, StatementMessage, StepMessage } from './messages.ts';
import { asStatementError } from './protocol-error.ts';
import type { StoredTexts } from './stored-texts.ts';

/** What a stream has to do, with all texts found. */
export type Operation =
  | { readonly kind: 'execute' | 'batch'; readonly steps: readonly BatchStep[] }
  | { readonly kind: 'sequence' | 'describe'; readonly sql: string }
  | { readonly kind: 'get_autocommit' };

/** Throws `PROTOCOL_BROKEN` for a text that is not stored. */
export function resolve(request: SqlRequest, texts: StoredTexts): Operation {
  switch (request.kind) {
    case 'execute':
      return { kind: 'execute', steps: [{ statement: resolveStatement(request.statement, texts), condition: null }] };
    case 'batch':
      return { kind: 'batch', steps: resolveSteps(request.steps, texts) };
    case 'get_autocommit':
      return request;
    default:
      return { kind: request.kind, sql: texts.resolve(request.text) };
  }
}

export const resolveSteps = (steps: readonly StepMessage[], texts: StoredTexts): readonly BatchStep[] =>
  steps.map(({ statement, condition }) => ({ statement: resolveStatement(statement, texts), condition }));

const resolveStatement = ({ text, positional, named, wantRows }: StatementMessage, texts: StoredTexts) => ({
  sql: texts.resolve(text),
  positional,
  named,
  wantRows,
});

/** Rejects only as the stream does: when it is of no use any more, or its server cannot serve. */
export async function carryOut(stream: SqlStream, operation: Operation, options: SqlRequestOptions): Promise<Answer> {
  switch (operation.kind) {
    case 'execute': {
      const [outcome] = await stream.batch(operation.steps, options);
      if (outcome?.kind === 'result') return { kind: 'execute', result: outcome.result };
      return { kind: 'error', error: outcome?.kind === 'error' ? outcome.error : asStatementError(NOT_CARRIED_OUT) };
    }
    case 'batch':
      return { kind: 'batch', outcomes: await stream.batch(operation.steps, options) };
    case 'sequence': {
      const error = await stream.sequence(operation.sql, options);
      return error === null ? { kind: 'sequence' } : { kind: 'error', error };
    }
    case 'describe': {
      const description = await stream.describe(operation.sql, options);
      return 'code' in description ? { kind: 'error', error: description } : { kind: 'describe', description };
    }
    case 'get_autocommit':
      return { kind: 'get_autocommit', isAutocommit: stream.isAutocommit };
  }
}

const NOT_CARRIED_OUT = new SpeilError('INTERNAL', 'a statement without a condition was not carried out');
