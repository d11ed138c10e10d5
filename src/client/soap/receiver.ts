import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ErrorReport, errorReport, SpeilError } from '../../core/error.ts';
import type { NonceMemory } from '../trust/nonces.ts';
import { createNonceMemory } from '../trust/nonces.ts';
import { SoapFault, writeFault } from './envelope.ts';
import { CallBroken, CallRefused, type IncomingCall, receiveCall, tooLarge } from './incoming.ts';
import { OPERATIONS, type Operation, type Responses, soapAction, writeResponse } from './messages.ts';
import { carryOut, failed, type OperationOptions } from './operations.ts';
import { type TokenIdentity, verifySignedToken } from './signed-token.ts';
import { SpoolMemory } from './spool.ts';
import { wsdl } from './wsdl.ts';
import { notUnderstood } from './xml.ts';

/** What the service answers under: as the published host has it, and a short one. */
export const SOAP_PATHS: readonly string[] = ['/MirroringClientService.svc', '/soap'];

/** What the published host takes: bodies are read as they come, so the size costs no memory. */
export const SOAP_CALL_BYTES_MAX = 2_147_483_647;
/** Trusted calls that are read or carried out at once; a task makes one at a time for each tenant. */
const CALLS_MAX = 256;
/** What is read and forgotten of a refused call, so that its sender comes to reading the answer. */
const FORGOTTEN_BYTES_MAX = 64 * 1024 * 1024;

export type SoapReceiverOptions = OperationOptions & {
  /** The client id of the application: tokens for another one are refused. */
  readonly application: string;
  /** Public RSA keys of the environments whose tasks may send. */
  readonly trusted: readonly KeyObject[];
  /** Who signs the tokens; SuperOffice AS. */
  readonly issuer?: string | undefined;
  /** Larger calls are refused; 2,147,483,647. */
  readonly callBytesMax?: number | undefined;
  readonly paths?: readonly string[] | undefined;
  /** Told of every call. Must not throw. */
  readonly log?: ((entry: SoapLogEntry) => void) | undefined;
};

/** One call as it went. Without rows and secrets. */
export type SoapLogEntry = {
  /** Null when it was not understood that far. */
  readonly operation: Operation | null;
  /** Null when the call was not trusted. */
  readonly tenant: string | null;
  readonly status: number;
  readonly durationMs: number;
  /** Why the call was not understood or not trusted. What failed in carrying it out goes to `onEvent`. */
  readonly error: ErrorReport | null;
};

/** Answers what is for one of its paths, and says whether it was. Calls `trusted` before the answer to a proved call. */
export type SoapReceiver = (request: IncomingMessage, response: ServerResponse, trusted?: () => void) => boolean;

/**
 * The receiving end of SuperOffice's published mirroring contract: a mirroring task of theirs delivers into the mirrors
 * of a Speil client. Every call is proved by its own token, which alone says whose data it is.
 */
export function createSoapReceiver(options: SoapReceiverOptions): SoapReceiver {
  const receiver = new Receiver(options);
  const paths = new Set((options.paths ?? SOAP_PATHS).map((path) => path.toLowerCase()));
  return (request, response, trusted) => {
    const { pathname, search } = partsOf(request.url ?? '/');
    if (!paths.has(pathname.toLowerCase())) return false;
    receiver.answer(request, response, { pathname, search, trusted }).catch(() => response.destroy());
    return true;
  };
}

type Place = { readonly pathname: string; readonly search: string };
type Target = Place & { readonly trusted: (() => void) | undefined };

function partsOf(url: string): Place {
  const at = url.indexOf('?');
  return at === -1 ? { pathname: url, search: '' } : { pathname: url.slice(0, at), search: url.slice(at + 1) };
}

type Answer = {
  readonly status: number;
  readonly body: string;
  readonly operation?: Operation;
  readonly tenant?: string;
  readonly error?: ErrorReport;
};

class Receiver {
  readonly #options: SoapReceiverOptions;
  readonly #nonces: NonceMemory;
  readonly #memory = new SpoolMemory();
  #calls = 0;

  constructor(options: SoapReceiverOptions) {
    this.#options = options;
    this.#nonces = createNonceMemory(options.clock);
  }

  async answer(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    if (request.method === 'GET' || request.method === 'HEAD') return send(response, description(request, target));
    if (request.method !== 'POST') {
      return send(response, { status: 405, type: 'text/plain', body: 'POST a call, or GET ?wsdl.\n' });
    }
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    const { status, body, operation = null, tenant = null, error = null } = await this.#call(request, response);
    const durationMs = clock.monotonicMs() - startedMs;
    log?.({ operation, tenant, status, durationMs, error });
    if (tenant !== null) target.trusted?.();
    await finish(request, response, { status, type: 'text/xml', body });
  }

  /** Never throws. */
  async #call(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    try {
      return await this.#carried(request, response);
    } catch (error) {
      if (error instanceof CallRefused) return refusal(error);
      if (error instanceof CallBroken) return this.#broken(error);
      return { ...faultAnswer(error), error: errorReport(error) };
    }
  }

  async #carried(request: IncomingMessage, response: ServerResponse): Promise<Answer> {
    const bytesMax = this.#options.callBytesMax ?? SOAP_CALL_BYTES_MAX;
    requireReadable(request, bytesMax);
    let seats = 0;
    const rules = {
      memory: this.#memory,
      bytesMax,
      action: actionOf(request.headers['soapaction']),
      verify: async (token: string) => {
        const identity = await this.#verify(token);
        if (this.#calls >= CALLS_MAX) throw tooMany();
        seats = 1;
        this.#calls++;
        return identity;
      },
    };
    const carry = async (call: IncomingCall): Promise<Answer> => {
      const { operation, identity } = call;
      // Nothing is heard on the connection while the work lasts: who listens to that keeps it from being given up.
      response.on('timeout', () => undefined);
      const result = await carryOut(this.#options, call);
      return { status: 200, body: written(operation, result), operation, tenant: identity.tenant };
    };
    try {
      return await receiveCall(piecesOf(request), rules, carry);
    } finally {
      this.#calls -= seats;
    }
  }

  /** Told as the tenant's: who called is known. */
  #broken({ operation, identity, cause }: CallBroken): Answer {
    const { tenant } = identity;
    const error = errorReport(cause);
    const { code, message } = error;
    this.#options.onEvent?.({ tenant, clientState: '' }, 'error', `${operation}: ${message} (${code})`);
    const answer = code === 'DISK_FULL' ? refusal({ operation, cause }) : faultAnswer(cause);
    return { ...answer, operation, tenant, error };
  }

  #verify(token: string): Promise<TokenIdentity> {
    const { application, issuer, trusted, clock } = this.#options;
    return verifySignedToken(token, {
      trusted,
      application,
      issuer,
      nowMs: clock.now(),
      nonces: this.#nonces,
    });
  }
}

/** The response is that of the operation: both come from the same place. */
const written = (operation: Operation, response: Responses[Operation]): string =>
  writeResponse<Operation>(operation, response);

/** The body as it comes in. */
async function* piecesOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false });
  } catch (cause) {
    throw new SpeilError('CONNECTION_LOST', 'the connection was cut in the middle of a call', {
      hint: 'Nothing of the call was carried out; the task sends it again.',
      recovery: 'retry',
      cause,
    });
  }
}

const refusal = ({ operation, cause }: Pick<CallRefused, 'operation' | 'cause'>): Answer => ({
  status: 200,
  body: written(operation, failed(operation, cause)),
  operation,
  error: errorReport(cause),
});

/** SOAP 1.1 answers every fault with 500; a body that was not read has a status of its own. */
function faultAnswer(error: unknown): Answer {
  if (error instanceof SoapFault) return { status: 500, body: writeFault(error) };
  const { code, message } = errorReport(error);
  switch (code) {
    case 'CONTRACT_BROKEN':
    case 'VALUE_REFUSED':
      return { status: 500, body: writeFault(new SoapFault('Client', message)) };
    case 'CALL_TOO_LARGE':
      return { status: 413, body: writeFault(new SoapFault('Client', message)) };
    case 'MIRROR_BUSY':
      return { status: 503, body: writeFault(new SoapFault('Server', message)) };
    default:
      return { status: 500, body: writeFault(new SoapFault('Server', 'the mirror client failed; its log says how')) };
  }
}

const tooMany = (): SpeilError =>
  new SpeilError('MIRROR_BUSY', `more than ${CALLS_MAX} calls are under way`, { recovery: 'retry' });

function requireReadable({ headers }: IncomingMessage, bytesMax: number): void {
  const type = headers['content-type'] ?? 'text/xml';
  if (!/^(?:text|application)\/xml\b/i.test(type)) {
    throw /^application\/soap\+xml\b/i.test(type)
      ? new SoapFault('VersionMismatch', 'SOAP 1.1 is spoken here: text/xml')
      : notUnderstood('its content type is not text/xml');
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw notUnderstood('it is compressed');
  if (Number(headers['content-length'] ?? 0) > bytesMax) throw tooLarge(bytesMax);
}

/** The operation that a SOAPAction names, in quotes or not; null when it names none. */
function actionOf(header: string | readonly string[] | undefined): Operation | null {
  const action = String(header ?? '')
    .trim()
    .replace(/^"(.*)"$/, '$1');
  if (action === '') return null;
  const operation = OPERATIONS.find((candidate) => soapAction(candidate) === action);
  if (operation === undefined) throw notUnderstood('its SOAPAction is none of the contract');
  return operation;
}

type Content = { readonly status: number; readonly type: string; readonly body: string };

/** What is told to who only looks. */
function description(request: IncomingMessage, { pathname, search }: Target): Content {
  if (/^(?:single)?wsdl(?:=|&|$)/i.test(search)) {
    return { status: 200, type: 'text/xml', body: wsdl(addressOf(request, pathname)) };
  }
  const body = `A mirror client listens here. Tasks POST their calls; its WSDL is at ${pathname}?wsdl\n`;
  return { status: 200, type: 'text/plain', body };
}

/** As the asker wrote it, through whatever stands in front of us. */
function addressOf({ headers, socket }: IncomingMessage, pathname: string): string {
  const isEncrypted = 'encrypted' in socket || headers['x-forwarded-proto'] === 'https';
  return `${isEncrypted ? 'https' : 'http'}://${headers.host ?? 'localhost'}${pathname}`;
}

function send(response: ServerResponse, { status, type, body }: Content): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'content-length': bytes.length });
  response.end(bytes);
}

/** Sends the answer after the rest of the call; a sender that does not come to an end is cut off. */
async function finish(request: IncomingMessage, response: ServerResponse, content: Content): Promise<void> {
  if (!request.readableEnded && !request.destroyed) {
    response.setHeader('connection', 'close');
    if (!(await forgetRest(request))) request.destroy();
  }
  if (!response.destroyed) send(response, content);
}

async function forgetRest(request: IncomingMessage): Promise<boolean> {
  let bytes = 0;
  try {
    for await (const piece of request.iterator({ destroyOnReturn: false })) {
      bytes += (piece as Uint8Array).length;
      if (bytes > FORGOTTEN_BYTES_MAX) return false;
    }
    return true;
  } catch {
    return false;
  }
}
