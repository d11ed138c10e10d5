declare const brand: unique symbol;

/** The reign of one principal, an unsigned 64-bit integer; a later one is larger. The first is 1. */
export type Term = bigint & { readonly [brand]: 'Term' };

export const Term = {
  of: (value: bigint | number | string): Term => BigInt.asUintN(64, BigInt(value)) as Term,
  first: 1n as Term,
};
