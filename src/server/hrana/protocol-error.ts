import { errorReport, SpeilError } from '../../core/error.ts';
import type { StatementError } from '../sql.ts';

/** The other side's message is not what the protocol says. */
export const broken = (message: string): SpeilError =>
  new SpeilError('PROTOCOL_BROKEN', message, { hint: 'Is the client one for libSQL (Hrana 2 or 3)?' });

/** A failure as clients are told it: there is no place for a hint but the message. */
export function asStatementError(error: unknown): StatementError {
  const { code, message, hint } = errorReport(error);
  return { code, message: hint === null ? message : `${message}. ${hint}` };
}
