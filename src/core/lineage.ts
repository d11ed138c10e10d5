declare const brand: unique symbol;

/** The identity of a journal's history: a UUID in lower case. Blocks of another lineage are never mixed in. */
export type Lineage = string & { readonly [brand]: 'Lineage' };

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const Lineage = {
  /** Throws `RangeError` for what is no UUID. */
  of: (text: string): Lineage => {
    const lower = text.toLowerCase();
    if (!UUID.test(lower)) throw new RangeError(`${text} is no UUID`);
    return lower as Lineage;
  },
  /** Its 16 bytes. */
  toBytes: (lineage: Lineage): Buffer => Buffer.from(lineage.replaceAll('-', ''), 'hex'),
  fromBytes: (bytes: Uint8Array): Lineage => {
    const hex = Buffer.from(bytes).toString('hex');
    return Lineage.of(
      [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-'),
    );
  },
};
