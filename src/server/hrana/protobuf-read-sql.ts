import { type BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { SqlValue, StepCondition } from '../sql.ts';
import { checkDepth, checkSteps, oneText } from './checks.ts';
import { BATCH_STEPS_MAX } from './limits.ts';
import type { StatementMessage, StepMessage } from './messages.ts';
import {
  boolean,
  message,
  needed,
  nested,
  optionalInt32,
  optionalText,
  type ReadMessage,
  readNested,
  repeated,
  text,
} from './protobuf-fields.ts';
import { broken } from './protocol-error.ts';

/** Arguments are bounded by the message that they are in. */
const ANY_COUNT = Number.POSITIVE_INFINITY;

const NULL = (1 << 3) | WireType.LengthDelimited;
const INTEGER = (2 << 3) | WireType.Varint;
const FLOAT = (3 << 3) | WireType.Bit64;
const TEXT = (4 << 3) | WireType.LengthDelimited;
const BLOB = (5 << 3) | WireType.LengthDelimited;

function readValue(reader: BinaryReader, end: number): SqlValue {
  let value: SqlValue | undefined;
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === NULL) value = readNested(reader, readNull);
    else if (tag === INTEGER) value = BigInt(reader.sint64());
    else if (tag === FLOAT) value = reader.double();
    else if (tag === TEXT) value = reader.string(true);
    else if (tag === BLOB) value = reader.bytes();
    else reader.skip(tag & 7, tag >>> 3);
  }
  if (value === undefined || reader.pos !== end) throw broken('a value is missing, or of an unknown type');
  return value;
}

const skipAll = message<Record<never, never>>({});

function readNull(reader: BinaryReader, end: number): null {
  skipAll(reader, end);
  return null;
}

const readArgument = message({ name: text(1), value: needed(2, readValue) });

const statementFields = message({
  sql: optionalText(1),
  sqlId: optionalInt32(2),
  positional: repeated(3, readValue, 'args', ANY_COUNT),
  named: repeated(4, readArgument, 'named_args', ANY_COUNT),
  wantRows: boolean(5, true),
});

export function readStatement(reader: BinaryReader, end: number): StatementMessage {
  const { sql, sqlId, positional, named, wantRows } = statementFields(reader, end);
  const byName = named.map(({ name, value }) => [name, value] as const);
  return { text: oneText(sql, sqlId), positional, named: new Map(byName), wantRows };
}

const OK = (1 << 3) | WireType.Varint;
const ERROR = (2 << 3) | WireType.Varint;
const NOT = (3 << 3) | WireType.LengthDelimited;
const AND = (4 << 3) | WireType.LengthDelimited;
const OR = (5 << 3) | WireType.LengthDelimited;
const IS_AUTOCOMMIT = (6 << 3) | WireType.LengthDelimited;

const readConditionAt =
  (depth: number): ReadMessage<StepCondition> =>
  (reader, end) => {
    checkDepth(depth);
    let condition: StepCondition | null = null;
    while (reader.pos < end) {
      const tag = reader.uint32();
      const read = readConditionField(reader, tag, depth);
      if (read === null) reader.skip(tag & 7, tag >>> 3);
      else condition = read;
    }
    if (condition === null || reader.pos !== end) throw broken('a condition is missing, or of an unknown type');
    return condition;
  };

function readConditionField(reader: BinaryReader, tag: number, depth: number): StepCondition | null {
  switch (tag) {
    case OK:
      return { kind: 'ok', step: reader.uint32() };
    case ERROR:
      return { kind: 'error', step: reader.uint32() };
    case NOT:
      return { kind: 'not', condition: readNested(reader, readConditionAt(depth + 1)) };
    case AND:
      return { kind: 'and', conditions: readNested(reader, readConditionsAt(depth + 1)) };
    case OR:
      return { kind: 'or', conditions: readNested(reader, readConditionsAt(depth + 1)) };
    case IS_AUTOCOMMIT:
      readNested(reader, skipAll);
      return { kind: 'is-autocommit' };
    default:
      return null;
  }
}

const readConditionsAt =
  (depth: number): ReadMessage<readonly StepCondition[]> =>
  (reader, end) =>
    message({ conditions: repeated(1, readConditionAt(depth), 'conds', ANY_COUNT) })(reader, end).conditions;

const readStep = message<StepMessage>({
  condition: nested(1, readConditionAt(1)),
  statement: needed(2, readStatement),
});

const batchFields = message({ steps: repeated(1, readStep, 'steps', BATCH_STEPS_MAX) });

export const readSteps = (reader: BinaryReader, end: number): readonly StepMessage[] =>
  checkSteps(batchFields(reader, end).steps);

/** Of `sequence` and `describe`: the text or its id, in fields that follow each other. */
export const sqlTextFields = (field: number) => ({ sql: optionalText(field), sqlId: optionalInt32(field + 1) });
