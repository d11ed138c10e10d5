import { SpeilError } from '../core/error.ts';

/**
 * The driver's failure as one of the center's. The message is the server's own: it names objects, never values. `otherwise` is
 * the hint where nothing better is known.
 */
export function databaseError(error: unknown, display: string, otherwise = 'It is tried again.'): SpeilError {
  if (error instanceof SpeilError) return error;
  return new SpeilError('CENTER_DATABASE_FAILED', `The operation center's database ${display}: ${reason(error)}`, {
    recovery: 'retry',
    hint: HINTS.find(([pattern]) => pattern.test(`${codeOf(error)} ${reason(error)}`))?.[1] ?? otherwise,
    cause: error,
  });
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^28|password|SASL/, 'Check user and password of --database; PGPASSWORD or ~/.pgpass also work.'],
  [/^3D000/, 'Create the database, or check the name after the last / of --database.'],
  [/^42501/, 'The login needs CREATE on the database, or must own the schema speil_center.'],
  [/^53100|ENOSPC|No space left/i, 'Free space where the database is.'],
  [/^53300|too many clients/, 'All connections of the server are taken; raise max_connections.'],
  [
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|timeout/i,
    'Is the server running, and is --database right?',
  ],
];

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

function reason(error: unknown): string {
  const first = error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
  return first instanceof Error ? first.message : String(first);
}
