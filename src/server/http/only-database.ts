import { SpeilError } from '../../core/error.ts';

/** A client named no database, which it may do only where there is one. */
export const noOnlyDatabase = (count: number): SpeilError =>
  count === 0
    ? new SpeilError('NOT_FOUND', 'this server has no database yet', { hint: 'Make one: speil database create <name>' })
    : new SpeilError('NOT_FOUND', `this server has ${count} databases, and the address names none`, {
        hint: 'Write http://host:port/<name>/ with the slash at its end: without it, clients drop the name.',
      });
