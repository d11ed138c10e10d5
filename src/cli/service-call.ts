import { readFileSync } from 'node:fs';
import { ERROR_CODES, type ErrorCode, SpeilError } from '../core/error.ts';
import { isLoopback } from '../service/listen-rule.ts';

/** The words for a service of ours in what is said about it. */
export type ServiceWords = {
  /** `the center`. */
  readonly service: string;
  /** How it answers: `an operation center does`. */
  readonly kind: string;
  /** `speil center serve`. */
  readonly start: string;
  /** `--center`. */
  readonly flag: string;
  /** `SPEIL_CENTER`. */
  readonly variable: string;
  /** An address as it is written. */
  readonly example: string;
};

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A path with names in it. */
export const path = (parts: TemplateStringsArray, ...names: readonly string[]): string =>
  parts.reduce((text, part, index) => `${text}${encodeURIComponent(names[index - 1] ?? '')}${part}`);

/** Throws `USAGE` for what is no address, and for one where the token could be read on the way. */
export function serviceUrl(text: string, insecure: boolean, { service, flag, variable, example }: ServiceWords): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new SpeilError('USAGE', `The address of ${service} is not a URL.`, {
      hint: `Write ${flag} ${example}, or set ${variable}.`,
    });
  }
  if (url.protocol === 'https:' || insecure || isLoopback(url.hostname)) return url;
  throw new SpeilError('USAGE', `${url.origin} is not encrypted: the token could be read on the way.`, {
    hint: 'Write https://…, or add --insecure when the way is safe.',
  });
}

export function readTokenFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new SpeilError('FILE_MISSING', `The token file ${file} cannot be read.`, {
      hint: 'Name another with --token-file or SPEIL_TOKEN_FILE.',
      cause,
    });
  }
}

export function unreachable(url: URL, cause: unknown, { service, start, flag, variable }: ServiceWords): SpeilError {
  const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const { code = '', message = '' } = reason as { readonly code?: string; readonly message?: string };
  const tls = /CERT|TLS|SSL|SIGNED|ISSUER/.test(code);
  return new SpeilError(
    tls ? 'TLS_FAILED' : 'UNREACHABLE',
    `${service} at ${url.origin} does not answer: ${message || code}`,
    {
      hint: tls
        ? 'For a certificate of your own authority set NODE_EXTRA_CA_CERTS to its file.'
        : `Is it started (\`${start}\`)? Name another with ${flag} or ${variable}.`,
      recovery: 'retry',
      cause,
    },
  );
}

/** What a service of ours said when it refused, or `CONTRACT_BROKEN` when it was another's. */
export function failureOf(status: number, text: string, url: URL, { kind, flag, variable }: ServiceWords): SpeilError {
  const said = parsed(text);
  const code = ERROR_CODES.find((known) => known === said.code) satisfies ErrorCode | undefined;
  if (code === undefined || typeof said.message !== 'string') {
    return new SpeilError('CONTRACT_BROKEN', `${url.origin} answered ${status}, and not as ${kind}`, {
      hint: `Check ${flag} and ${variable}.`,
    });
  }
  return new SpeilError(code, said.message, { hint: typeof said.hint === 'string' ? said.hint : undefined });
}

type Said = { readonly code?: unknown; readonly message?: unknown; readonly hint?: unknown };

function parsed(text: string): Said {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
