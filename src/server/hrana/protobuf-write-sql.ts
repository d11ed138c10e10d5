import { type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type {
  CursorEntry,
  ResultColumn,
  SqlValue,
  StatementDescription,
  StatementError,
  StatementResult,
  StepOutcome,
} from '../sql.ts';
import { writeEach, writeEmpty, writeNested, writeText } from './protobuf-fields.ts';

export function writeFailure(writer: BinaryWriter, { message, code }: StatementError): void {
  writeText(writer, 1, message);
  writeText(writer, 2, code);
}

/** What was read and written, and how long it took, are fields that libSQL has added to the specification's. */
export function writeResult(writer: BinaryWriter, result: StatementResult): void {
  writeEach(writer, 1, result.columns, writeColumn);
  writeEach(writer, 2, result.rows, writeRow);
  writeEffects(writer, 3, result);
  writer.uint32(6 << 3).uint64(result.rowsRead);
  writer.uint32(7 << 3).uint64(result.rowsWritten);
  writer.uint32((8 << 3) | WireType.Bit64).double(result.durationMs);
}

type Effects = { readonly affectedRows: bigint; readonly lastInsertRowid: bigint | null };

function writeEffects(writer: BinaryWriter, field: number, { affectedRows, lastInsertRowid }: Effects): void {
  writer.uint32(field << 3).uint64(affectedRows);
  if (lastInsertRowid !== null) writer.uint32((field + 1) << 3).sint64(lastInsertRowid);
}

export function writeOutcomes(writer: BinaryWriter, outcomes: readonly StepOutcome[]): void {
  for (const [step, outcome] of outcomes.entries()) {
    if (outcome.kind === 'result') writeNested(writer, 1, { step, it: outcome.result }, entryOf(writeResult));
    else if (outcome.kind === 'error') writeNested(writer, 2, { step, it: outcome.error }, entryOf(writeFailure));
  }
}

/** Something of a step, as in an entry of a map. */
const entryOf =
  <T>(write: (writer: BinaryWriter, it: T) => void) =>
  (writer: BinaryWriter, { step, it }: { readonly step: number; readonly it: T }): void => {
    writer.uint32(1 << 3).uint32(step);
    writeNested(writer, 2, it, write);
  };

export function writeDescription(writer: BinaryWriter, it: StatementDescription): void {
  writeEach(writer, 1, it.parameters, (inner, name) => writeText(inner, 1, name));
  writeEach(writer, 2, it.columns, writeColumn);
  writer.uint32(3 << 3).bool(it.isExplain);
  writer.uint32(4 << 3).bool(it.isReadonly);
}

export function writeCursorEntryFields(writer: BinaryWriter, entry: CursorEntry): void {
  switch (entry.kind) {
    case 'step-begin':
      writeNested(writer, 1, entry, writeStepBegin);
      break;
    case 'step-end':
      writeNested(writer, 2, entry, (inner, effects) => writeEffects(inner, 1, effects));
      break;
    case 'step-error':
      writeNested(writer, 3, { step: entry.step, it: entry.error }, entryOf(writeFailure));
      break;
    case 'row':
      writeNested(writer, 4, entry.row, writeRow);
      break;
    case 'error':
      writeNested(writer, 5, entry.error, writeFailure);
  }
}

function writeStepBegin(
  writer: BinaryWriter,
  it: { readonly step: number; readonly columns: readonly ResultColumn[] },
) {
  writer.uint32(1 << 3).uint32(it.step);
  writeEach(writer, 2, it.columns, writeColumn);
}

function writeColumn(writer: BinaryWriter, { name, declaredType }: ResultColumn): void {
  writeText(writer, 1, name);
  writeText(writer, 2, declaredType);
}

const writeRow = (writer: BinaryWriter, row: readonly SqlValue[]): void => writeEach(writer, 1, row, writeValue);

function writeValue(writer: BinaryWriter, value: SqlValue): void {
  if (value === null) writeEmpty(writer, 1);
  else if (typeof value === 'bigint') writer.uint32(2 << 3).sint64(value);
  else if (typeof value === 'number') writer.uint32((3 << 3) | WireType.Bit64).double(value);
  else if (typeof value === 'string') writeText(writer, 4, value);
  else writer.uint32((5 << 3) | WireType.LengthDelimited).bytes(value);
}
