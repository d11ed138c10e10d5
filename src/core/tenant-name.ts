/** PostgreSQL cuts names after 63 bytes, and the metadata table of a tenant is called <tenant>_mirroring. */
export const TENANT_BYTES_MAX = 63 - '_mirroring'.length;

/** Up to 40 letters, digits, _ and -, not beginning with a digit: fit for names of files, databases and tables. */
export const isTenantName = (text: string): boolean =>
  /^[\p{L}_][\p{L}\p{N}_-]{0,39}$/u.test(text) && Buffer.byteLength(text) <= TENANT_BYTES_MAX;
