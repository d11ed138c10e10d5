/** What a commit changed, different for each of them. */
export const payloadOf = (lsn: number, part: number): Buffer =>
  Buffer.alloc(200 + ((lsn * 37 + part) % 900), `${lsn}.${part} `);
