import { SpeilError } from '../../core/error.ts';
import { Lsn } from '../../core/lsn.ts';
import type { SourcePosition } from '../../core/position.ts';
import { TableName } from '../../core/table.ts';
import type { MirroredTable } from '../../database/mirror-database.ts';

/** The contract says of a history no more than whose it is. */
export const lineageOf = (tenant: string): string => `superoffice:${tenant}`;

/**
 * The position that a batch brings; null when it brings none. Only the last batch of a table in a cycle has one. A
 * missing element is 0 in .NET, and -1 says "nothing that counts", so neither of them, nor anything below, is a position.
 */
export const positionOf = (lsn: bigint, lineage: string): SourcePosition | null =>
  lsn <= 0n ? null : { lsn: Lsn.of(lsn), token: '', lineage, bookmark: null };

/** Tables of a mirror that another source fills must not be touched. */
export function requireLineage({ table, position, copy }: MirroredTable, lineage: string): void {
  const other = [position, copy?.start ?? null].find((held) => held !== null && held.lineage !== lineage);
  if (other === undefined) return;
  throw new SpeilError('OTHER_LINEAGE', `${TableName.toText(table)} is the mirror of another source`, {
    hint: 'Give this source a mirror of its own.',
  });
}
