import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** The version of this package; the same two folders up from the source and from what is built of it. */
export const BUILD: string = manifest.version;
