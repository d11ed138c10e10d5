import type * as z from 'zod';
import { type ErrorReport, SpeilError } from '../../core/error.ts';
import type {
  AuthenticateAnswer,
  AuthenticateRequest,
  Notes,
  ReplicationCompletedRequest,
  RowBatch,
  RowDataAnswer,
  RowDataRequest,
  TableSchemaAnswer,
  TableSchemaRequest,
  WipeRequest,
} from '../../task/contract.ts';
import type { CallName } from '../exchange.ts';
import { contractBroken, decodeFrame, encodeFrame } from './frame.ts';
import { ANSWER_HEADS, type BatchHead, ErrorShape, REQUEST_HEADS } from './shapes.ts';

/** The five requests by the names of their calls. */
export type Requests = {
  readonly authenticate: AuthenticateRequest;
  readonly 'table-schema': TableSchemaRequest;
  readonly wipe: WipeRequest;
  readonly 'row-data': RowDataRequest;
  readonly 'replication-completed': ReplicationCompletedRequest;
};

export type Answers = {
  readonly authenticate: AuthenticateAnswer;
  readonly 'table-schema': TableSchemaAnswer;
  readonly wipe: Notes;
  readonly 'row-data': RowDataAnswer;
  readonly 'replication-completed': Notes;
};

/** The bytes of a request: a frame, with the rows of its batches, one after the other, behind the head. */
export function encodeRequest<C extends CallName>(call: C, request: Requests[C]): Uint8Array {
  if (!isRowData(call, request)) return encodeFrame(request);
  const heads = request.batches.map(({ rows, ...head }): BatchHead => ({ ...head, bytes: rows.byteLength }));
  return encodeFrame(
    { ...request, batches: heads },
    request.batches.map(({ rows }) => rows),
  );
}

const isRowData = (call: CallName, request: Requests[CallName]): request is RowDataRequest =>
  call === 'row-data' && 'batches' in request;

/** Rows are views on `bytes`. Throws `CONTRACT_BROKEN` for anything that is not exactly such a request. */
export function decodeRequest<C extends CallName>(call: C, bytes: Uint8Array): Requests[C];
export function decodeRequest(call: CallName, bytes: Uint8Array): Requests[CallName] {
  const { head, rest } = decodeFrame(bytes);
  if (call !== 'row-data') return withoutRest(parse(REQUEST_HEADS[call], head), rest);
  const { clientState, batches } = parse(REQUEST_HEADS['row-data'], head);
  return { clientState, batches: withRows(batches, rest) };
}

function withRows(heads: readonly BatchHead[], rest: Uint8Array): readonly RowBatch[] {
  let start = 0;
  const batches = heads.map(({ bytes, ...head }) => {
    const rows = rest.subarray(start, start + bytes);
    start += bytes;
    return { ...head, rows };
  });
  if (start !== rest.byteLength) throw contractBroken('the rows are not as long as the head says');
  return batches;
}

export const encodeAnswer = <C extends CallName>(_call: C, answer: Answers[C]): Uint8Array => encodeFrame(answer);

/** Throws `CONTRACT_BROKEN` for anything that is not exactly such an answer. */
export function decodeAnswer<C extends CallName>(call: C, bytes: Uint8Array): Answers[C];
export function decodeAnswer(call: CallName, bytes: Uint8Array): Answers[CallName] {
  const { head, rest } = decodeFrame(bytes);
  return withoutRest(parse(ANSWER_HEADS[call], head), rest);
}

/** The answer to `authenticate` travels inside a frame whose head is the application's proof of it. */
export const encodeProved = (proof: string, answer: Uint8Array): Uint8Array => encodeFrame(proof, [answer]);

export function decodeProved(bytes: Uint8Array): { readonly proof: string; readonly answer: Uint8Array } {
  const { head, rest } = decodeFrame(bytes);
  if (typeof head !== 'string') throw contractBroken('the answer is not proved');
  return { proof: head, answer: rest };
}

export const encodeError = (report: ErrorReport): Uint8Array => Buffer.from(JSON.stringify(report));

/** The failure that an answer carries; `CONTRACT_BROKEN` when it carries none. Unprintable characters are left out. */
export function decodeError(bytes: Uint8Array): SpeilError {
  const report = ErrorShape.safeParse(parseJson(bytes));
  if (!report.success) return contractBroken('it failed without saying why');
  const { code, message, hint, recovery } = report.data;
  return new SpeilError(code, printable(message), { hint: hint === null ? undefined : printable(hint), recovery });
}

const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ');

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return null;
  }
}

function parse<S extends z.ZodType>(shape: S, head: unknown): z.output<S> {
  const parsed = shape.safeParse(head);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.map(String).join('.').slice(0, WHERE_MAX);
  throw contractBroken(`${where || 'the head'}: ${issue?.message.slice(0, WHERE_MAX) ?? 'it is not as it has to be'}`);
}

/** Characters of a message that somebody else may choose. */
const WHERE_MAX = 200;

function withoutRest<T>(value: T, rest: Uint8Array): T {
  if (rest.byteLength > 0) throw contractBroken('there is more behind the head');
  return value;
}
