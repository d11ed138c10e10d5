import type { KeyObject } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { type ErrorCode, type ErrorReport, errorReport } from '../core/error.ts';
import type { AuthenticateRequest, MirrorClientService } from '../task/contract.ts';
import type { CallAnswer, CallHandler, CallName, CallRequest } from './exchange.ts';
import type { Hooks } from './hooks.ts';
import type { ClientOptions } from './mirror-client.ts';
import type { TenantMirrors } from './tenant-mirrors.ts';
import { createTenantClient } from './tenants/tenant-client.ts';
import { signAnswerToken } from './trust/answer-token.ts';
import { createCallTokenVerifier, type ProvedCall } from './trust/call-token.ts';
import { trustRefused } from './trust/refusal.ts';
import { pack, unpack } from './wire/compression.ts';
import { decodeRequest, encodeAnswer, encodeError, encodeProved } from './wire/messages.ts';
import type { WipeMode } from './write-batches.ts';

export type CallHandlerOptions = {
  readonly mirrors: TenantMirrors;
  /** Calls for another application are refused. */
  readonly application: string;
  /** The application's private key: answers to `authenticate` are proved with it. */
  readonly key: KeyObject;
  /** Public keys (Ed25519) whose calls are taken. */
  readonly trusted: readonly KeyObject[];
  readonly clock: Clock;
  readonly build: string;
  readonly hooks?: Hooks | undefined;
  readonly wipeMode?: WipeMode | undefined;
  /** Larger bodies are refused, compressed or not. Announced to the task. */
  readonly callBytesMax: number;
  /** How far the clocks may differ beyond the window of the tokens; 0. */
  readonly skewMs?: number | undefined;
  /** Every notable event of a mirror, for a log. Must not throw. */
  readonly onEvent?: ClientOptions['onEvent'];
  /** Told of every call, also of one that is refused before its body has come. Must not throw. */
  readonly log?: ((entry: CallLogEntry) => void) | undefined;
};

/** One call as it went. Without rows and secrets. */
export type CallLogEntry = {
  readonly call: CallName;
  /** Null when the call was not trusted. */
  readonly tenant: string | null;
  readonly status: number;
  /** Bytes of the body as it came. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly error: ErrorReport | null;
};

/** A handler that can say before the body has come that it would be refused. */
export type TrustingCallHandler = CallHandler & {
  /** The refusal, or null: then the rest of the call decides. */
  readonly refusal: (call: CallName, token: string) => Promise<CallAnswer | null>;
};

type Handled = { readonly answer: CallAnswer; readonly tenant: string | null; readonly error: ErrorReport | null };

/** The five calls for all tenants, each call proved by itself: the token is checked before the body is looked at. */
export function createCallHandler(options: CallHandlerOptions): TrustingCallHandler {
  const { clock, log } = options;
  const verifier = createCallTokenVerifier(options);
  const handle = async (request: CallRequest): Promise<Handled> => {
    let tenant: string | null = null;
    try {
      const proved = await verifier.verify(request.token, request.call, request.body);
      tenant = proved.tenant;
      return { answer: await answerCall(options, proved, request), tenant, error: null };
    } catch (error) {
      return { answer: errorAnswer(error), tenant, error: errorReport(error) };
    }
  };
  const handler: CallHandler = async (request) => {
    const startedMs = clock.monotonicMs();
    const { answer, tenant, error } = await handle(request);
    const durationMs = clock.monotonicMs() - startedMs;
    const { call, body } = request;
    log?.({ call, tenant, status: answer.status, bytes: body.byteLength, durationMs, error });
    return answer;
  };
  const refusal: TrustingCallHandler['refusal'] = async (call, token) => {
    try {
      await verifier.verifyHead(token, call);
      return null;
    } catch (error) {
      const answer = errorAnswer(error);
      log?.({ call, tenant: null, status: answer.status, bytes: 0, durationMs: 0, error: errorReport(error) });
      return answer;
    }
  };
  return Object.assign(handler, { refusal });
}

async function answerCall(options: CallHandlerOptions, proved: ProvedCall, request: CallRequest): Promise<CallAnswer> {
  const body = await unpack(request, options.callBytesMax);
  const answer = await dispatch(options, proved, request.call, body);
  return { status: 200, ...(await pack(answer, request.encoding === 'zstd')) };
}

async function dispatch(
  options: CallHandlerOptions,
  proved: ProvedCall,
  call: CallName,
  body: Uint8Array,
): Promise<Uint8Array> {
  const client = createTenantClient(proved.tenant, options);
  switch (call) {
    case 'authenticate':
      return authenticate(options, proved, client, decodeRequest(call, body));
    case 'table-schema':
      return encodeAnswer(call, await client.tableSchema(decodeRequest(call, body)));
    case 'wipe':
      return encodeAnswer(call, await client.wipe(decodeRequest(call, body)));
    case 'row-data':
      return encodeAnswer(call, await client.rowData(decodeRequest(call, body)));
    case 'replication-completed':
      return encodeAnswer(call, await client.replicationCompleted(decodeRequest(call, body)));
  }
}

async function authenticate(
  { key, application, clock }: CallHandlerOptions,
  { tenant, nonce }: ProvedCall,
  client: MirrorClientService,
  request: AuthenticateRequest,
): Promise<Uint8Array> {
  if (request.tenant !== tenant) {
    throw trustRefused('tenant', `the token is for ${tenant}, the call names another: ${request.tenant}`);
  }
  const answer = encodeAnswer('authenticate', await client.authenticate(request));
  return encodeProved(await signAnswerToken(key, { nonce, tenant, application, body: answer }, clock), answer);
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  TRUST_REFUSED: 401,
  FORBIDDEN: 403,
  CONTRACT_BROKEN: 400,
  CALL_TOO_LARGE: 413,
  MIRROR_BUSY: 503,
  UNREACHABLE: 503,
  CONNECTION_LOST: 503,
};

/** A failure as the answer of a call. */
export function errorAnswer(error: unknown): CallAnswer {
  const report = errorReport(error);
  return { status: STATUS[report.code] ?? 500, encoding: 'identity', body: encodeError(report) };
}
