import { createHash, timingSafeEqual } from 'node:crypto';

/** SHA-256 of bytes as they travel, base64url. */
export const bodyDigest = (body: Uint8Array): string => createHash('sha256').update(body).digest('base64url');

/** Compares in a time that says nothing about where texts differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
