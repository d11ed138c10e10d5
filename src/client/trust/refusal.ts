import { SpeilError } from '../../core/error.ts';

/** What of a token or an answer was not as it has to be. */
export type Refused = 'signature' | 'audience' | 'time' | 'nonce' | 'call' | 'body' | 'tenant' | 'token';

const HINTS: Readonly<Record<Refused, string>> = {
  signature:
    'Does each side have the other’s public key? `speil keys show` names a key; both sides must name the same.',
  audience: 'The application is registered with the center under the name that the client has as --application.',
  time: 'Set both clocks by NTP.',
  nonce: 'Each call is made once, with a token of its own; a call that is repeated gets a new one.',
  call: 'Something between the two sides changes requests.',
  body: 'Something between the two sides changes bodies; a proxy must pass them on as they are.',
  tenant: 'Call the client for the tenant that the token is for.',
  token: 'Only an operation center of Speil calls here.',
};

/** `TRUST_REFUSED`. The message begins with what it was about. */
export const trustRefused = (
  about: Refused,
  message: string,
  options: { readonly recovery?: 'retry'; readonly hint?: string } = {},
): SpeilError =>
  new SpeilError('TRUST_REFUSED', `${about}: ${message}`, {
    hint: options.hint ?? HINTS[about],
    recovery: options.recovery,
  });

/** UTC, ISO 8601, for messages that name both clocks. */
export const isoTime = (ms: number): string => (Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`);
