import type { StatementError } from './sql.ts';

/** A statement failed. `code` is SQLite's name for why (`SQLITE_CONSTRAINT_UNIQUE`), or one of the server's own. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly code: string;

  constructor({ code, message }: StatementError) {
    super(message);
    this.code = code;
  }
}
