declare const brand: unique symbol;

/**
 * Log sequence number: an unsigned 64-bit integer. In a mirroring task it is the source's change counter, a number for
 * the whole database that is stored per table: everything that was committed *below* it is in the mirror.
 */
export type Lsn = bigint & { readonly [brand]: 'Lsn' };

export const Lsn = {
  of: (value: bigint | number | string): Lsn => BigInt.asUintN(64, BigInt(value)) as Lsn,
  zero: 0n as Lsn,
};
