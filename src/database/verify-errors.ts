import { SpeilError } from '../core/error.ts';
import { TableName } from '../core/table.ts';

const GO_ON = 'Run `speil mirror` with the same two databases, then verify again.';

/** The table has another schema than the mirror's rows; `what` says since when. */
export const alteredError = (table: TableName, what: string): SpeilError =>
  new SpeilError('SCHEMA_CHANGED', `${TableName.toText(table)} ${what}`, { hint: GO_ON, recovery: 'retry' });

/** It cannot be told what changed since the mirror's position. */
export const untrustedError = (table: TableName, explanation: string): SpeilError =>
  new SpeilError('TABLE_FAILED', `${TableName.toText(table)} cannot be compared: ${explanation}`, {
    hint: 'Run `speil mirror`: it copies the table again. Then verify again.',
    recovery: 'repopulate',
  });

export const otherLineageError = (explanation: string): SpeilError =>
  new SpeilError('OTHER_LINEAGE', explanation, { hint: 'Name the source that this mirror belongs to.' });

/** The table was dropped or altered in the mirror behind our back. */
export const damagedError = (table: TableName, what: string): SpeilError =>
  new SpeilError('TABLE_FAILED', `${TableName.toText(table)} ${what}`, {
    hint: 'Have it copied again: `speil resync` with the mirror and the table, then `speil mirror`.',
    recovery: 'repopulate',
  });
