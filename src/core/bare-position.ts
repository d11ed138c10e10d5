import { createHash } from 'node:crypto';
import { SpeilError } from './error.ts';
import { Lsn } from './lsn.ts';
import type { SourcePosition } from './position.ts';

/** Enough for a thousand transactions a second for four thousand years. */
const LSN_BITS = 47n;
const CHECK_BITS = 16;

/**
 * A position for mirrors that keep a single number per table, as SuperOffice's contract has them do. The number is
 * positive and fits 64 bits with a sign: the LSN in its lower 47 bits, and above it a check of 16 bits, made of the
 * position's witness and of the shape that the mirror's table has. The bare position that comes back has no lineage, no
 * bookmark, and as its token the checks that the witness may have; the source looks up in its own history what the
 * witness at that LSN is and compares. Of 65,536 positions of another history or shape it takes one for its own.
 */
export const BarePosition = {
  /** Throws `INTERNAL` for a position without a witness, or an LSN that no source reaches. */
  toNumber: ({ lsn, witness }: SourcePosition, shape: string): bigint => {
    if (witness === undefined || lsn < 1n || lsn >> LSN_BITS !== 0n) {
      throw new SpeilError('INTERNAL', `position ${lsn} cannot be kept as a single number`);
    }
    return (BigInt(checkOf(witness) ^ checkOf(shape)) << LSN_BITS) | lsn;
  },
  /**
   * For a table that may have had any of these shapes when the position was made. Null for a number that is no position:
   * 0 and -1 say that the table holds nothing that counts.
   */
  fromNumber: (number: bigint, shapes: readonly string[]): SourcePosition | null =>
    number < 1n
      ? null
      : {
          lsn: Lsn.of(BigInt.asUintN(Number(LSN_BITS), number)),
          token: shapes.map((shape) => Number(number >> LSN_BITS) ^ checkOf(shape)).join(' '),
          lineage: '',
          bookmark: null,
        },
  is: (position: SourcePosition): boolean => position.lineage === '',
  /** Is this the witness of the position that the number was made of? */
  isWitnessedBy: ({ token }: SourcePosition, witness: string): boolean =>
    token.split(' ').includes(String(checkOf(witness))),
};

const checkOf = (witness: string): number =>
  createHash('sha256')
    .update(witness)
    .digest()
    .readUIntBE(0, CHECK_BITS / 8);
