import { createHmac, timingSafeEqual } from 'node:crypto';

/** The key that batons are signed with: 32 random bytes. Whoever has it can forge them. */
export type BatonSecret = Uint8Array;

/** Which stream a baton is for, and which in a row of that stream. */
export type Baton = { readonly streamId: string; readonly turn: number };

/** `holder`: whose baton it is; whoever shows it has to be the same. */
export const writeBaton = (secret: BatonSecret, holder: string, { streamId, turn }: Baton): string =>
  `${streamId}.${turn}.${sign(secret, holder, `${streamId}.${turn}`)}`;

const FORM = /^([0-9a-f-]{36})\.(\d{1,15})\.([\w-]{43})$/;

/** Null for a baton that was not made with this secret for this holder. */
export function readBaton(secret: BatonSecret, holder: string, text: string): Baton | null {
  const [, streamId, turn, signature] = FORM.exec(text) ?? [];
  if (streamId === undefined || turn === undefined || signature === undefined) return null;
  const expected = sign(secret, holder, `${streamId}.${turn}`);
  const isGenuine = timingSafeEqual(Buffer.from(signature), Buffer.from(expected));
  return isGenuine ? { streamId, turn: Number(turn) } : null;
}

const sign = (secret: BatonSecret, holder: string, content: string): string =>
  createHmac('sha256', secret).update(`${content}\0${holder}`).digest('base64url');
