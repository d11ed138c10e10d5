import { SpeilError } from '../core/error.ts';
import type { DatabaseLocation } from './location.ts';

const HINT =
  'Write postgres://user@host:5432/database, sqlite:<path>, or a path that ends in .db, .sqlite or .sqlite3.';
const ENCODE_HINT =
  'In a user name or password write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for # and %25 for %.';

/**
 * Reads the address of a database as it is typed. Throws `UNKNOWN_SCHEME` for what no part of Speil can open and `USAGE`
 * for an address that is broken; neither repeats anything that may be a password.
 */
export function parseLocation(text: string): DatabaseLocation {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase() ?? null;
  if (scheme === 'postgres' || scheme === 'postgresql') return parsePostgres(text);
  if (scheme === 'sqlite') return parseSqlite(text.slice('sqlite:'.length));
  if (scheme !== null && !isWindowsPath(text)) {
    throw new SpeilError('UNKNOWN_SCHEME', `"${scheme}:" is not a kind of database that Speil knows.`, { hint: HINT });
  }
  if (/\.(db|sqlite|sqlite3)$/i.test(text)) return { kind: 'sqlite', path: text, display: text };
  throw unknownForm(text);
}

const isWindowsPath = (text: string): boolean => /^[a-z]:[\\/]/i.test(text);

function unknownForm(text: string): SpeilError {
  const looksLikePath = !/[=@:\s]/.test(text) && text !== '';
  const what = looksLikePath ? `"${text}"` : 'The address given';
  const hint = looksLikePath ? `For a SQLite file write sqlite:${text}. ${HINT}` : HINT;
  return new SpeilError('UNKNOWN_SCHEME', `${what} is not the address of a database.`, { hint });
}

function parseSqlite(rest: string): DatabaseLocation {
  const path = rest.replace(/^\/\/(?=\/)/, '');
  if (path === '' || path === ':memory:') {
    throw new SpeilError('USAGE', 'A SQLite database needs a file.', {
      hint: 'Write sqlite:<path>, as in sqlite:crm.db.',
    });
  }
  if (path.startsWith('//')) {
    const bare = path.replace(/^\/+/, '');
    throw new SpeilError('USAGE', `"sqlite:${path}" has a host where the path belongs.`, {
      hint: `Write sqlite:${bare} (from this folder) or sqlite:/${bare} (from the root).`,
    });
  }
  return { kind: 'sqlite', path, display: path };
}

type PostgresParts = { readonly user: string; readonly host: string; readonly port: string; readonly path: string };

function parsePostgres(url: string): DatabaseLocation {
  const match = /^\w+:\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(#.*)?$/s.exec(url);
  if (match === null) throw brokenAddress('it does not have the form postgres://user@host:port/database', HINT);
  const [, authority = '', path = '', query = '', fragment] = match;
  if (fragment !== undefined) throw brokenAddress('it has a # in it', ENCODE_HINT);
  if (path.includes('@') || (!authority.includes('@') && /(^|&)[^=&]*@/.test(query))) {
    throw brokenAddress('an @ comes after a / or ?', ENCODE_HINT);
  }
  const parts = splitAuthority(authority, path);
  const host = parts.host === '' ? (new URLSearchParams(query).get('host') ?? '') : parts.host;
  return { kind: 'postgres', url, display: displayOf({ ...parts, host }) };
}

function splitAuthority(authority: string, path: string): PostgresParts {
  const at = authority.lastIndexOf('@');
  const server = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(authority.slice(at + 1));
  const port = server?.[2] ?? '';
  if (server === null || (port !== '' && !isPort(port))) {
    throw brokenAddress(
      'what stands after the last : of the host is not a port',
      `A port is 1 to 65535. ${ENCODE_HINT}`,
    );
  }
  const user = authority.slice(0, Math.max(at, 0)).split(':')[0] ?? '';
  const password = authority.slice(user.length, Math.max(at, 0));
  decode(password);
  return { user: decode(user), host: decode(server[1] ?? ''), port, path: decode(path) };
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw brokenAddress('a % is not followed by two hexadecimal digits of UTF-8', ENCODE_HINT, cause);
  }
}

const displayOf = ({ user, host, port, path }: PostgresParts): string =>
  `postgres://${user === '' ? '' : `${user}@`}${host === '' ? 'localhost' : host}${port === '' ? '' : `:${port}`}/${path}`;

const brokenAddress = (why: string, hint: string, cause?: unknown): SpeilError =>
  new SpeilError('USAGE', `The postgres:// address cannot be read: ${why}.`, { hint, cause });
