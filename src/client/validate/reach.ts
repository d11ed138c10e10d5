import { lookup } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { SpeilError } from '../../core/error.ts';
import { CONNECT_WAIT_MS } from '../../core/limits.ts';
import { foreignAnswer, noConnection, transitFailure } from '../http/failures.ts';
import { INTERFACE_HEADER, pathOfCall } from '../http/paths.ts';
import { type Checks, failed } from './check.ts';

/** Tokens hold from a minute before they were made to five minutes after: this much difference leaves room for the way. */
const SKEW_MS_MAX = 45_000;

export type Target = { readonly url: URL; readonly ca: string | undefined; readonly clock: Clock };

/** The name, where it is one, is known to DNS. */
export async function dnsCheck(host: string): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return `${bare} is an address, not a name`;
  try {
    const { address } = await lookup(bare);
    return `${bare} is ${address}`;
  } catch (cause) {
    throw new SpeilError('UNREACHABLE', `the host name ${bare} is not known to DNS`, {
      hint: 'Check the name; a new one takes some time to be known everywhere.',
      cause,
    });
  }
}

/** Sends a real POST without a token to the address at which a mirror client should answer. It must refuse it, itself. */
export async function callChecks(checks: Checks, target: Target): Promise<void> {
  const { url, clock } = target;
  const { protocol, hostname } = url;
  if (!(await checks.run('dns', () => dnsCheck(hostname)))) {
    return checks.notChecked(['tls', 'post', 'clock'], 'the host is not known');
  }
  let answer: IncomingMessage | null = null;
  const post = new URL(`.${pathOfCall('authenticate')}`, url);
  const reached = await checks.run(protocol === 'https:' ? 'tls' : 'connection', async () => {
    answer = await ask(post, 'POST', target);
    return protocol === 'https:' ? 'the certificate is valid here' : 'something listens there';
  });
  if (!reached || answer === null) return checks.notChecked(['post', 'clock'], 'nobody could be asked');
  const response: IncomingMessage = answer;
  await checks.run('post', () => judgePost(post, response));
  await checks.run('clock', () => judgeDate(response.headers.date, clock));
}

function judgePost(url: URL, response: IncomingMessage): string {
  if (response.headers[INTERFACE_HEADER] === undefined) throw foreignAnswer(response, url.href);
  const { statusCode: status = 0 } = response;
  if (status === 401) return 'a mirror client answers there, and refuses a call without a token';
  throw failed('CONTRACT_BROKEN', `${url.href} answers ${status} to a call without a token; 401 was expected`, OLD);
}

const OLD = 'Is it a mirror client of another version?';

/** Both clocks may be wrong; that they agree is what tokens need. */
function judgeDate(date: string | undefined, clock: Clock): string {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs)) return 'the other side does not say its time';
  const differenceMs = theirs - clock.now();
  const seconds = Math.round(Math.abs(differenceMs) / 1000);
  if (Math.abs(differenceMs) <= SKEW_MS_MAX) return `differs by ${seconds} s`;
  const whose = differenceMs > 0 ? 'behind' : 'ahead of';
  throw failed(
    'TRUST_REFUSED',
    `the clock of this machine is ${seconds} s ${whose} that of the other side`,
    'Set both by NTP: calls prove themselves with the time.',
  );
}

/** What a web server says to a request without a body: to learn of DNS, TLS and time, whatever it answers. */
export async function centerChecks(checks: Checks, target: Target): Promise<boolean> {
  const { url, clock } = target;
  if (!(await checks.run('dns', () => dnsCheck(url.hostname)))) {
    checks.notChecked(['tls', 'clock', 'key'], 'the host is not known');
    return false;
  }
  let answer: IncomingMessage | null = null;
  const reached = await checks.run(url.protocol === 'https:' ? 'tls' : 'connection', async () => {
    answer = await ask(new URL('healthz', url), 'GET', target).catch(ofCenter);
    return url.protocol === 'https:' ? 'the certificate is valid here' : 'something listens there';
  });
  if (!reached || answer === null) {
    checks.notChecked(['clock', 'key'], 'nobody could be asked');
    return false;
  }
  const response: IncomingMessage = answer;
  await checks.run('clock', () => judgeDate(response.headers.date, clock));
  return true;
}

/** The hints are for whoever calls a client. */
function ofCenter(error: unknown): never {
  if (!(error instanceof SpeilError) || error.code !== 'UNREACHABLE') throw error;
  throw failed(error.code, error.message, 'Is the center running there, and do firewalls let this machine out?');
}

async function ask(url: URL, method: 'GET' | 'POST', { ca, clock }: Target): Promise<IncomingMessage> {
  const end = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = { method, agent: false as const, headers: { 'content-length': '0', connection: 'close' } };
  const request = url.protocol === 'https:' ? httpsRequest(url, { ...options, ca }) : httpRequest(url, options);
  request.on('response', (response) => {
    response.resume();
    resolve(response);
  });
  request.on('error', reject);
  request.end();
  clock.sleep(CONNECT_WAIT_MS, end.signal).then(
    () => request.destroy(noConnection(url.origin, CONNECT_WAIT_MS)),
    () => undefined,
  );
  try {
    return await promise;
  } catch (error) {
    throw transitFailure(error, url.origin);
  } finally {
    end.abort();
    request.destroy();
  }
}
