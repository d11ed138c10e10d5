import type { IncomingMessage } from 'node:http';
import { type ErrorCode, type Recovery, SpeilError } from '../../core/error.ts';
import { SERVICE_HEADER } from './paths.ts';

type Rule = { readonly code: ErrorCode; readonly recovery: Recovery; readonly what: string; readonly hint: string };

const rule = (code: ErrorCode, recovery: Recovery, what: string, hint: string): Rule => ({
  code,
  recovery,
  what,
  hint,
});

const UNKNOWN_AUTHORITY = rule(
  'TLS_FAILED',
  'operator',
  'its certificate was not issued by an authority that is trusted here',
  'Trust the authority: NODE_EXTRA_CA_CERTS=<its certificate as PEM>. Or use a certificate of a public one.',
);
const NETWORK = 'Check the network between here and there.';
const CUT = rule('CONNECTION_LOST', 'retry', 'the connection was cut', 'The call is repeated.');

/** What the platform says when no answer came. */
const RULES: Readonly<Record<string, Rule>> = {
  ENOTFOUND: rule('UNREACHABLE', 'retry', 'the host name is not known', 'Check the host name.'),
  EAI_AGAIN: rule('UNREACHABLE', 'retry', 'the host name could not be looked up', 'Check the name and DNS.'),
  ECONNREFUSED: rule('UNREACHABLE', 'retry', 'nothing listens there', 'Is `speil client serve` running, at this port?'),
  EHOSTUNREACH: rule('UNREACHABLE', 'retry', 'there is no way to the host', NETWORK),
  ENETUNREACH: rule('UNREACHABLE', 'retry', 'there is no way to the network', NETWORK),
  ETIMEDOUT: rule('UNREACHABLE', 'retry', 'there is no answer', 'Check host, port and firewalls.'),
  ECONNRESET: CUT,
  EPIPE: CUT,
  ERR_STREAM_PREMATURE_CLOSE: CUT,
  DEPTH_ZERO_SELF_SIGNED_CERT: { ...UNKNOWN_AUTHORITY, what: 'its certificate is signed by itself' },
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    ...UNKNOWN_AUTHORITY,
    hint: `${UNKNOWN_AUTHORITY.hint} It may also send its own certificate without those between it and the authority.`,
  },
  CERT_HAS_EXPIRED: rule('TLS_FAILED', 'operator', 'its certificate has expired', 'Renew it; check both clocks.'),
  CERT_NOT_YET_VALID: rule('TLS_FAILED', 'operator', 'its certificate is not valid yet', 'Check both clocks.'),
  ERR_TLS_CERT_ALTNAME_INVALID: rule(
    'TLS_FAILED',
    'operator',
    'its certificate is for another name',
    'Use a name that the certificate has, or a certificate for this one.',
  ),
  EPROTO: rule('TLS_FAILED', 'operator', 'it does not speak TLS as it should', 'Is it http:// instead of https://?'),
};

/** The failure of a call that got no answer. */
export function transitFailure(error: unknown, display: string): SpeilError {
  if (error instanceof SpeilError) return error;
  const { code, message } = told(error);
  const { what, hint, ...known } = RULES[code] ?? ruleFor(code, message);
  return new SpeilError(known.code, `${display}: ${what}`, { hint, recovery: known.recovery, cause: error });
}

function told(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  return { code: 'code' in error ? String(error.code) : '', message: error.message };
}

function ruleFor(code: string, message: string): Rule {
  if (/^(?:ERR_SSL|ERR_TLS|CERT_)/.test(code)) {
    return rule('TLS_FAILED', 'operator', `TLS failed: ${message}`, 'Is it http:// instead of https://?');
  }
  if (code.startsWith('HPE_')) {
    return rule(
      'CONTRACT_BROKEN',
      'operator',
      'what answers does not speak HTTP',
      'Is it https:// instead of http://?',
    );
  }
  return rule('CONNECTION_LOST', 'retry', message, NETWORK);
}

export const noConnection = (display: string, afterMs: number): SpeilError =>
  new SpeilError('UNREACHABLE', `${display}: no connection within ${afterMs / 1000} s`, {
    hint: 'Check host, port and firewalls.',
    recovery: 'retry',
  });

export const silence = (display: string, afterMs: number): SpeilError =>
  new SpeilError('CONNECTION_LOST', `${display}: not a word for ${Math.round(afterMs / 1000)} s`, {
    hint: NETWORK,
    recovery: 'retry',
  });

const PASSING = [408, 429, 502, 503, 504];

/** The failure when something answers that is no mirror client: another service, or a proxy before it. */
export function foreignAnswer(response: IncomingMessage, url: string): SpeilError {
  const { statusCode: status = 0 } = response;
  const fail = (code: ErrorCode, what: string, hint: string, recovery: Recovery = 'operator') =>
    new SpeilError(code, `${url} answers ${status}: ${what}`, { hint, recovery });
  if (response.headers[SERVICE_HEADER] === 'operation-center') {
    const hint = 'Name the address of the client: where `speil client serve` listens.';
    return fail('NOT_FOUND', 'an operation center of Speil is there, not a mirror client', hint);
  }
  if (status === 401 || status === 403 || status === 407) {
    const hint = 'A proxy or gateway must let calls through to the mirror client; they carry tokens of their own.';
    return fail('AUTHENTICATION_REFUSED', 'something before the mirror client wants a login', hint);
  }
  if (status === 404 || status === 405 || status === 501) {
    return fail('NOT_FOUND', 'no mirror client of Speil is there', 'Check host, port and path; it answers POST.');
  }
  if (status === 413) {
    return fail('CALL_TOO_LARGE', 'something before the mirror client takes no body of this size', 'Raise its limit.');
  }
  if (status >= 300 && status < 400) {
    return fail('NOT_FOUND', 'it is somewhere else', `Name the address that it sends to: ${placeOf(response)}`);
  }
  if (PASSING.includes(status)) {
    const hint = 'Is the mirror client behind the proxy running?';
    return fail('UNREACHABLE', 'something before the mirror client does not reach it', hint, 'retry');
  }
  return fail('CONTRACT_BROKEN', 'what answers is no mirror client of Speil', 'Check host, port and path.');
}

/** Characters of an address that somebody else may choose. */
const PLACE_MAX = 200;

const placeOf = ({ headers }: IncomingMessage): string =>
  (headers.location ?? 'it does not say').replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, PLACE_MAX);
