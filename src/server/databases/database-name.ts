import { SpeilError } from '../../core/error.ts';

declare const brand: unique symbol;

/**
 * The name of a database: 1 to 63 lower-case letters, digits, `-` and `_`, a letter or digit first. It names a folder and is
 * part of URLs, so nothing that either could read otherwise is in it, and no two names differ only by case.
 */
export type DatabaseName = string & { readonly [brand]: 'DatabaseName' };

const PATTERN = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** First parts of the server's own paths, and of the protocol's (`/v2/pipeline`), also of those to come. */
const TAKEN = /^(?:admin|healthz|readyz|metrics|v\d+|v\d+-protobuf)$/;

export const DatabaseName = {
  is: (text: string): text is DatabaseName => PATTERN.test(text) && !TAKEN.test(text),
  /** Throws `USAGE`. */
  of: (text: string): DatabaseName => {
    if (DatabaseName.is(text)) return text;
    const why = PATTERN.test(text)
      ? 'stands for something else in the addresses of a server'
      : 'is no name for a database';
    throw new SpeilError('USAGE', `${JSON.stringify(text.slice(0, SHOWN_CHARACTERS))} ${why}.`, {
      hint: 'A name has 1 to 63 lower-case letters, digits, - and _, and begins with a letter or digit.',
    });
  },
};

/** As much of a wrong name as helps to see what it is. */
const SHOWN_CHARACTERS = 80;
