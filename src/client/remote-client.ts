import type { KeyObject } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { AuthenticateAnswer, MirrorClientService } from '../task/contract.ts';
import type { CallAnswer, CallName, Exchange } from './exchange.ts';
import { verifyAnswerToken } from './trust/answer-token.ts';
import { newNonce, signCallToken } from './trust/call-token.ts';
import { bodyDigest } from './trust/digest.ts';
import { keyId } from './trust/keys.ts';
import { type Packed, pack, tooLarge, unpack } from './wire/compression.ts';
import {
  type Answers,
  decodeAnswer,
  decodeError,
  decodeProved,
  encodeRequest,
  type Requests,
} from './wire/messages.ts';

export type RemoteClientOptions = {
  readonly exchange: Exchange;
  readonly tenant: string;
  readonly application: string;
  /** The private key (Ed25519) of the task's side: every call is signed with it. */
  readonly signingKey: KeyObject;
  /** The application's public key: its answer to `authenticate` must be proved with the other half. */
  readonly clientPublicKey: KeyObject;
  readonly clock: Clock;
  /** Ends calls that are under way. */
  readonly signal?: AbortSignal | undefined;
  /** Bodies are compressed where it pays. */
  readonly compress?: boolean | undefined;
};

/**
 * Bytes of an answer. The largest is that of the schema call: 100 tables make about 50 KB, and 100,000 tables are the
 * most that a call has.
 */
export const ANSWER_BYTES_MAX = 64_000_000;

/**
 * The five calls on a mirror client somewhere else. A call that gets no answer is thrown as the exchange throws it; the
 * failure that an answer carries is thrown as if it had happened here. Throws `TRUST_REFUSED` when whoever answers
 * `authenticate` does not prove to be the application: nothing of such an answer is believed.
 */
export function createRemoteClient(options: RemoteClientOptions): MirrorClientService {
  const caller = new RemoteCaller(options);
  return {
    authenticate: (request) => caller.authenticate(request),
    tableSchema: (request) => caller.call('table-schema', request),
    wipe: (request) => caller.call('wipe', request),
    prepareRowData: (request) => caller.prepare(request),
    rowData: (request) => caller.call('row-data', request),
    replicationCompleted: (request) => caller.call('replication-completed', request),
  };
}

class RemoteCaller {
  readonly #options: RemoteClientOptions;
  readonly #kid: string;
  readonly #signal: AbortSignal;
  /** What the client said that it takes; known from its first answer on. */
  #callBytesMax: number | null = null;
  /** Bodies of calls that are about to be made. Each lives as long as its request. */
  readonly #prepared = new WeakMap<object, CallBody>();

  constructor(options: RemoteClientOptions) {
    this.#options = options;
    this.#kid = keyId(options.signingKey);
    this.#signal = options.signal ?? new AbortController().signal;
  }

  async authenticate(request: Requests['authenticate']): Promise<AuthenticateAnswer> {
    const { tenant, application, clientPublicKey, clock } = this.#options;
    const nonce = newNonce();
    const { proof, answer } = decodeProved(
      await this.#send('authenticate', await this.#bodyOf('authenticate', request), nonce),
    );
    await verifyAnswerToken(clientPublicKey, proof, { nonce, tenant, application, body: answer }, clock);
    const authenticated = decodeAnswer('authenticate', answer);
    this.#callBytesMax = authenticated.callBytesMax;
    return authenticated;
  }

  async call<C extends Exclude<CallName, 'authenticate'>>(call: C, request: Requests[C]): Promise<Answers[C]> {
    const body = this.#prepared.get(request) ?? (await this.#bodyOf(call, request));
    return decodeAnswer(call, await this.#send(call, body, newNonce()));
  }

  async prepare(request: Requests['row-data']): Promise<void> {
    this.#prepared.set(request, await this.#bodyOf('row-data', request));
  }

  async #bodyOf<C extends CallName>(call: C, request: Requests[C]): Promise<CallBody> {
    const bytes = encodeRequest(call, request);
    const packed = await pack(bytes, this.#options.compress ?? false);
    return { packed, digest: bodyDigest(packed.body), bytes: bytes.byteLength };
  }

  /** Answers the body of an answer that is a success. */
  async #send(call: CallName, { packed, digest, bytes }: CallBody, nonce: string): Promise<Uint8Array> {
    const { exchange, tenant, application, signingKey, clock } = this.#options;
    if (this.#callBytesMax !== null && bytes > this.#callBytesMax) throw tooLarge(this.#callBytesMax);
    const token = signCallToken(signingKey, this.#kid, { tenant, application, call, digest, nonce }, clock);
    return unpackAnswer(await exchange.send({ call, token, ...packed }, this.#signal));
  }
}

/** All of a call that does not depend on when it is sent. */
type CallBody = {
  readonly packed: Packed;
  readonly digest: string;
  /** Before it was packed. */
  readonly bytes: number;
};

async function unpackAnswer(answer: CallAnswer): Promise<Uint8Array> {
  const body = await unpack(answer, ANSWER_BYTES_MAX);
  if (answer.status !== 200) throw decodeError(body);
  return body;
}
