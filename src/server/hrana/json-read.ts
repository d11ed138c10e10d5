import { isUtf8 } from 'node:buffer';
import type { SqlValue, StepCondition } from '../sql.ts';
import { checkCount, checkDepth, checkSteps, oneText } from './checks.ts';
import { BATCH_STEPS_MAX, PIPELINE_REQUESTS_MAX } from './limits.ts';
import type {
  ClientMessage,
  ConnectionRequest,
  CursorCall,
  Pipeline,
  SqlRequest,
  SqlText,
  StatementMessage,
  StepMessage,
  StreamRequest,
} from './messages.ts';
import { broken } from './protocol-error.ts';

type Json = Readonly<Record<string, unknown>>;

export function readPipeline(body: Buffer): Pipeline {
  const root = object(parse(body), 'the body');
  return {
    baton: optionalText(root['baton'], 'baton'),
    requests: list(root['requests'], 'requests', PIPELINE_REQUESTS_MAX).map(readStreamRequest),
  };
}

export function readCursorCall(body: Buffer): CursorCall {
  const root = object(parse(body), 'the body');
  return { baton: optionalText(root['baton'], 'baton'), steps: readSteps(root['batch']) };
}

export function readClientMessage(message: Buffer): ClientMessage {
  const root = object(parse(message), 'the message');
  switch (root['type']) {
    case 'hello':
      return { kind: 'hello', jwt: optionalText(root['jwt'], 'jwt') };
    case 'request':
      return {
        kind: 'request',
        requestId: int32(root['request_id'], 'request_id'),
        request: readConnectionRequest(object(root['request'], 'request')),
      };
    default:
      throw unknownType('message', root);
  }
}

function parse(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw broken('the message is not UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw broken(`the message is not JSON: ${(error as Error).message}`);
  }
}

function readStreamRequest(value: unknown): StreamRequest {
  const request = object(value, 'request');
  if (request['type'] === 'close') return { kind: 'close' };
  return readTextRequest(request) ?? readSqlRequest(request) ?? unknown(request);
}

function readTextRequest(request: Json) {
  switch (request['type']) {
    case 'store_sql':
      return {
        kind: 'store_sql',
        sqlId: int32(request['sql_id'], 'sql_id'),
        sql: text(request['sql'], 'sql'),
      } as const;
    case 'close_sql':
      return { kind: 'close_sql', sqlId: int32(request['sql_id'], 'sql_id') } as const;
    default:
      return null;
  }
}

function readSqlRequest(request: Json): SqlRequest | null {
  switch (request['type']) {
    case 'execute':
      return { kind: 'execute', statement: readStatement(request['stmt']) };
    case 'batch':
      return { kind: 'batch', steps: readSteps(request['batch']) };
    case 'sequence':
      return { kind: 'sequence', text: readSqlText(request) };
    case 'describe':
      return { kind: 'describe', text: readSqlText(request) };
    case 'get_autocommit':
      return { kind: 'get_autocommit' };
    default:
      return null;
  }
}

function readConnectionRequest(request: Json): ConnectionRequest {
  const sql = readSqlRequest(request);
  if (sql !== null) return { kind: 'sql', streamId: streamId(request), request: sql };
  switch (request['type']) {
    case 'open_stream':
      return { kind: 'open_stream', streamId: streamId(request) };
    case 'close_stream':
      return { kind: 'close_stream', streamId: streamId(request) };
    case 'open_cursor':
      return {
        kind: 'open_cursor',
        streamId: streamId(request),
        cursorId: cursorId(request),
        steps: readSteps(request['batch']),
      };
    case 'fetch_cursor':
      return {
        kind: 'fetch_cursor',
        cursorId: cursorId(request),
        countMax: uint32(request['max_count'], 'max_count'),
      };
    case 'close_cursor':
      return { kind: 'close_cursor', cursorId: cursorId(request) };
    default:
      return readTextRequest(request) ?? unknown(request);
  }
}

const streamId = (request: Json): number => int32(request['stream_id'], 'stream_id');
const cursorId = (request: Json): number => int32(request['cursor_id'], 'cursor_id');

const readSteps = (batch: unknown): readonly StepMessage[] =>
  checkSteps(list(object(batch, 'batch')['steps'], 'steps', BATCH_STEPS_MAX).map(readStep));

function readStep(value: unknown): StepMessage {
  const step = object(value, 'step');
  const condition = step['condition'];
  return {
    statement: readStatement(step['stmt']),
    condition: isAbsent(condition) ? null : readCondition(condition, 1),
  };
}

function readCondition(value: unknown, depth: number): StepCondition {
  checkDepth(depth);
  const condition = object(value, 'condition');
  const kind = condition['type'];
  switch (kind) {
    case 'ok':
    case 'error':
      return { kind, step: uint32(condition['step'], 'step') };
    case 'not':
      return { kind, condition: readCondition(condition['cond'], depth + 1) };
    case 'and':
    case 'or':
      return { kind, conditions: list(condition['conds'], 'conds').map((each) => readCondition(each, depth + 1)) };
    case 'is_autocommit':
      return { kind: 'is-autocommit' };
    default:
      throw unknownType('condition', condition);
  }
}

const NO_VALUES: readonly SqlValue[] = [];
const NO_NAMES: ReadonlyMap<string, SqlValue> = new Map();

function readStatement(value: unknown): StatementMessage {
  const statement = object(value, 'stmt');
  const positional = statement['args'];
  const wantRows = statement['want_rows'];
  return {
    text: readSqlText(statement),
    positional: isAbsent(positional) ? NO_VALUES : list(positional, 'args').map(readValue),
    named: readNamed(statement['named_args']),
    wantRows: isAbsent(wantRows) ? true : boolean(wantRows, 'want_rows'),
  };
}

function readNamed(value: unknown): ReadonlyMap<string, SqlValue> {
  if (isAbsent(value)) return NO_NAMES;
  const given = list(value, 'named_args');
  if (given.length === 0) return NO_NAMES;
  return new Map(
    given.map((each) => {
      const argument = object(each, 'argument');
      return [text(argument['name'], 'name'), readValue(argument['value'])] as const;
    }),
  );
}

const readSqlText = (from: Json): SqlText =>
  oneText(optionalText(from['sql'], 'sql'), isAbsent(from['sql_id']) ? null : int32(from['sql_id'], 'sql_id'));

function readValue(value: unknown): SqlValue {
  const given = object(value, 'value');
  switch (given['type']) {
    case 'null':
      return null;
    case 'integer':
      return readInteger(given['value']);
    case 'float':
      return number(given['value'], 'a float');
    case 'text':
      return text(given['value'], 'a text');
    case 'blob':
      return readBlob(text(given['base64'], 'base64'));
    default:
      throw unknownType('value', given);
  }
}

const INTEGER = /^[+-]?\d{1,19}$/;
/** Every number of so many characters is one of 64 bits. */
const SURE_CHARS = 18;

function readInteger(value: unknown): bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  const digits = text(value, 'an integer');
  if (!INTEGER.test(digits)) throw broken('an integer is written as a text of digits');
  const integer = BigInt(digits.startsWith('+') ? digits.slice(1) : digits);
  if (digits.length > SURE_CHARS && BigInt.asIntN(64, integer) !== integer) throw broken(`${digits} has over 64 bits`);
  return integer;
}

/** With or without the padding at the end. Anything that is not base64 would come out shorter. */
function readBlob(base64: string): Uint8Array {
  let chars = base64.length;
  while (chars > 0 && base64.charCodeAt(chars - 1) === 0x3d) chars--;
  const bytes = Buffer.from(base64, 'base64');
  if (base64.length - chars > 2 || chars % 4 === 1 || bytes.length !== Math.floor((chars * 3) / 4))
    throw broken('a blob is not base64');
  return bytes;
}

const isAbsent = (value: unknown): value is null | undefined => value === null || value === undefined;

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(value, what, 'an object');
  return value as Json;
}

function list(value: unknown, what: string, countMax = Number.POSITIVE_INFINITY): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(value, what, 'an array');
  checkCount(value.length, what, countMax);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== 'string') throw wrong(value, what, 'a string');
  if (!value.isWellFormed()) throw broken(`${what} is not Unicode: it has half a surrogate pair`);
  return value;
}

const optionalText = (value: unknown, what: string): string | null => (isAbsent(value) ? null : text(value, what));

function number(value: unknown, what: string): number {
  if (typeof value !== 'number') throw wrong(value, what, 'a number');
  return value;
}

function boolean(value: unknown, what: string): boolean {
  if (typeof value !== 'boolean') throw wrong(value, what, 'a boolean');
  return value;
}

function int32(value: unknown, what: string): number {
  if (typeof value !== 'number' || (value | 0) !== value) throw wrong(value, what, 'an integer of 32 bits');
  return value;
}

function uint32(value: unknown, what: string): number {
  if (typeof value !== 'number' || value >>> 0 !== value) throw wrong(value, what, 'an unsigned integer of 32 bits');
  return value;
}

const wrong = (value: unknown, what: string, expected: string) =>
  broken(value === undefined ? `${what} is missing` : `${what} has to be ${expected}`);

const unknownType = (what: string, { type }: Json) =>
  broken(typeof type === 'string' ? `unknown type of ${what}: ${type.slice(0, 40)}` : `a ${what} has no type`);

function unknown(request: Json): never {
  throw unknownType('request', request);
}
