import { createHash, randomBytes } from 'node:crypto';
import type { Role } from './model.ts';

const SECRET_BYTES = 32;

/** Says what it is and may do, so that one found in a log is recognised; 256 random bits follow. */
export const newTokenSecret = (role: Role): string =>
  `speil_${role}_${randomBytes(SECRET_BYTES).toString('base64url')}`;

/** What is kept of a token. A plain hash will do: nobody guesses 256 random bits. */
export const hashToken = (secret: string): string => createHash('sha256').update(secret).digest('hex');
