declare const brand: unique symbol;

/**
 * Log sequence number: an unsigned 64-bit integer. In a mirroring task it is the source's change counter, a number for
 * the whole database that is stored per table: everything that was committed *below* it is in the mirror. In a journal
 * it is the number of a committed transaction, dense and ascending; the first is 1, and 0 is the state before it.
 */
export type Lsn = bigint & { readonly [brand]: 'Lsn' };

export const Lsn = {
  of: (value: bigint | number | string): Lsn => BigInt.asUintN(64, BigInt(value)) as Lsn,
  zero: 0n as Lsn,
  /** The number `commits` further on. */
  after: (lsn: Lsn, commits = 1n): Lsn => BigInt.asUintN(64, lsn + commits) as Lsn,
};
