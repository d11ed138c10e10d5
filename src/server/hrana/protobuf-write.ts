import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { StatementError } from '../sql.ts';
import type { Answer, CursorEntry, ServerMessage } from './messages.ts';
import { writeEach, writeEmpty, writeNested, writeText } from './protobuf-fields.ts';
import {
  writeCursorEntryFields,
  writeDescription,
  writeFailure,
  writeOutcomes,
  writeResult,
} from './protobuf-write-sql.ts';

type Done = Exclude<Answer, { kind: 'error' }>;
type Kind = Done['kind'];

/** The field of each kind of answer: of a stream over HTTP, and of a connection over WebSocket. */
const HTTP_FIELDS: Partial<Record<Kind, number>> = {
  close: 1,
  execute: 2,
  batch: 3,
  sequence: 4,
  describe: 5,
  store_sql: 6,
  close_sql: 7,
  get_autocommit: 8,
};
const CONNECTION_FIELDS: Partial<Record<Kind, number>> = {
  open_stream: 2,
  close_stream: 3,
  execute: 4,
  batch: 5,
  open_cursor: 6,
  close_cursor: 7,
  fetch_cursor: 8,
  sequence: 9,
  describe: 10,
  store_sql: 11,
  close_sql: 12,
  get_autocommit: 13,
};

export function writePipeline(baton: string | null, answers: readonly Answer[]): Uint8Array {
  const writer = new BinaryWriter();
  writeText(writer, 1, baton);
  writeEach(writer, 3, answers, writeStreamResult);
  return writer.finish();
}

export function writeCursorHead(baton: string | null): Uint8Array {
  const writer = new BinaryWriter().fork();
  writeText(writer, 1, baton);
  return writer.join().finish();
}

export function writeCursorEntry(entry: CursorEntry): Uint8Array {
  const writer = new BinaryWriter().fork();
  writeCursorEntryFields(writer, entry);
  return writer.join().finish();
}

export function writeServerMessage(message: ServerMessage): Uint8Array {
  const writer = new BinaryWriter();
  switch (message.kind) {
    case 'hello_ok':
      writeEmpty(writer, 1);
      break;
    case 'hello_error':
      writeNested(writer, 2, message.error, (inner, error) => writeNested(inner, 1, error, writeFailure));
      break;
    case 'answer':
      writeAnswer(writer, message.requestId, message.answer);
  }
  return writer.finish();
}

function writeAnswer(writer: BinaryWriter, requestId: number, answer: Answer): void {
  if (answer.kind === 'error') writeNested(writer, 4, { requestId, error: answer.error }, writeResponseError);
  else
    writeNested(writer, 3, answer, (inner, done) => {
      writeRequestId(inner, requestId);
      writeDone(inner, done, CONNECTION_FIELDS);
    });
}

function writeResponseError(writer: BinaryWriter, it: { requestId: number; error: StatementError }): void {
  writeRequestId(writer, it.requestId);
  writeNested(writer, 2, it.error, writeFailure);
}

const writeRequestId = (writer: BinaryWriter, requestId: number) => writer.uint32(1 << 3).int32(requestId);

function writeStreamResult(writer: BinaryWriter, answer: Answer): void {
  if (answer.kind === 'error') writeNested(writer, 2, answer.error, writeFailure);
  else writeNested(writer, 1, answer, (inner, done) => writeDone(inner, done, HTTP_FIELDS));
}

function writeDone(writer: BinaryWriter, answer: Done, fields: Partial<Record<Kind, number>>): void {
  const field = fields[answer.kind];
  if (field === undefined) throw new Error(`${answer.kind} has no place in this message`);
  writeNested(writer, field, answer, writeContent);
}

function writeContent(writer: BinaryWriter, answer: Done): void {
  switch (answer.kind) {
    case 'execute':
      writeNested(writer, 1, answer.result, writeResult);
      break;
    case 'batch':
      writeNested(writer, 1, answer.outcomes, writeOutcomes);
      break;
    case 'describe':
      writeNested(writer, 1, answer.description, writeDescription);
      break;
    case 'get_autocommit':
      writer.uint32(1 << 3).bool(answer.isAutocommit);
      break;
    case 'fetch_cursor':
      writeEach(writer, 1, answer.entries, writeCursorEntryFields);
      writer.uint32(2 << 3).bool(answer.isDone);
  }
}
