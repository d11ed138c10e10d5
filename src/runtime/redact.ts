const MASK = '***';
/** Shorter passwords are only removed where an address or a key shows what they are: as words they would be everywhere. */
const WORD_MIN = 4;

const IN_ADDRESS = /([a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:)([^\s/?#]*)(?=@)/gi;
/** In an address of its own all up to the last @ may be the password: with / # ? or blanks that nobody encoded. */
const UNENCODED = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@:]*:(.*)@/is;
const IN_PARAMETER = /\b((?:ssl)?password|passwd|pwd|pgpassword)(\s*=\s*)('(?:[^'\\]|\\.)*'|"[^"]*"|[^\s&;,'"]+)/gi;

export type Redact = (text: string) => string;

/**
 * Makes a function that takes passwords out of text: those in addresses and `password=…` of any kind, and the passwords
 * of these addresses and of `PGPASSWORD` wherever they stand. A password that is also the name of the user, host or database
 * is not removed as a word, since it says nothing there and the message would.
 */
export function createRedact(
  addresses: readonly string[],
  { PGPASSWORD = '' }: Readonly<Record<string, string | undefined>> = {},
): Redact {
  const harmless = new Set(addresses.flatMap(publicParts));
  const secrets = [...addresses.flatMap(passwordsOf), PGPASSWORD]
    .flatMap((secret) => [secret, decoded(secret)])
    .filter((secret) => secret.length >= WORD_MIN && !harmless.has(secret))
    .sort((a, b) => b.length - a.length);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, MASK), redactAddresses(text));
}

const redactAddresses = (text: string): string =>
  text.replace(IN_ADDRESS, `$1${MASK}`).replace(IN_PARAMETER, `$1$2${MASK}`);

function passwordsOf(address: string): readonly string[] {
  const inAddress = [...address.matchAll(IN_ADDRESS)].map((match) => match[2] ?? '');
  const inParameter = [...address.matchAll(IN_PARAMETER)].map((match) => (match[3] ?? '').replace(/^['"]|['"]$/g, ''));
  const [, unencoded = ''] = UNENCODED.exec(address) ?? [];
  return [...inAddress, ...inParameter, unencoded];
}

const publicParts = (address: string): readonly string[] =>
  redactAddresses(address)
    .split(/[:/@?&=]+/)
    .map(decoded);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
