import type {
  CursorEntry,
  ResultColumn,
  SqlValue,
  StatementDescription,
  StatementError,
  StatementResult,
  StepOutcome,
} from '../sql.ts';
import type { Answer, ServerMessage } from './messages.ts';

export const writePipeline = (baton: string | null, answers: readonly Answer[]): string =>
  `{"baton":${orNull(baton)},"base_url":null,"results":${array(answers, result)}}`;

export const writeCursorHead = (baton: string | null): string => `{"baton":${orNull(baton)},"base_url":null}\n`;

export const writeCursorEntry = (entry: CursorEntry): string => `${cursorEntry(entry)}\n`;

export function writeServerMessage(message: ServerMessage): string {
  switch (message.kind) {
    case 'hello_ok':
      return '{"type":"hello_ok"}';
    case 'hello_error':
      return `{"type":"hello_error","error":${failure(message.error)}}`;
    case 'answer': {
      const { requestId, answer } = message;
      return answer.kind === 'error'
        ? `{"type":"response_error","request_id":${requestId},"error":${failure(answer.error)}}`
        : `{"type":"response_ok","request_id":${requestId},"response":${response(answer)}}`;
    }
  }
}

export const failure = ({ message, code }: StatementError): string =>
  `{"message":${JSON.stringify(message)},"code":${JSON.stringify(code)}}`;

const result = (answer: Answer): string =>
  answer.kind === 'error'
    ? `{"type":"error","error":${failure(answer.error)}}`
    : `{"type":"ok","response":${response(answer)}}`;

function response(answer: Exclude<Answer, { kind: 'error' }>): string {
  switch (answer.kind) {
    case 'execute':
      return `{"type":"execute","result":${statementResult(answer.result)}}`;
    case 'batch':
      return `{"type":"batch","result":${batchResult(answer.outcomes)}}`;
    case 'describe':
      return `{"type":"describe","result":${description(answer.description)}}`;
    case 'get_autocommit':
      return `{"type":"get_autocommit","is_autocommit":${answer.isAutocommit}}`;
    case 'fetch_cursor':
      return `{"type":"fetch_cursor","entries":${array(answer.entries, cursorEntry)},"done":${answer.isDone}}`;
    default:
      return `{"type":"${answer.kind}"}`;
  }
}

const statementResult = (it: StatementResult): string =>
  `{"cols":${array(it.columns, column)},"rows":${array(it.rows, row)},"affected_row_count":${it.affectedRows},` +
  `"last_insert_rowid":${rowid(it.lastInsertRowid)},"rows_read":${it.rowsRead},"rows_written":${it.rowsWritten},` +
  `"query_duration_ms":${it.durationMs}}`;

function batchResult(outcomes: readonly StepOutcome[]): string {
  const results = array(outcomes, (it) => (it.kind === 'result' ? statementResult(it.result) : 'null'));
  const errors = array(outcomes, (it) => (it.kind === 'error' ? failure(it.error) : 'null'));
  return `{"step_results":${results},"step_errors":${errors}}`;
}

const column = ({ name, declaredType }: ResultColumn): string =>
  `{"name":${JSON.stringify(name)},"decltype":${orNull(declaredType)}}`;

const description = (it: StatementDescription): string =>
  `{"params":${array(it.parameters, (name) => `{"name":${orNull(name)}}`)},"cols":${array(it.columns, column)},` +
  `"is_explain":${it.isExplain},"is_readonly":${it.isReadonly}}`;

function cursorEntry(entry: CursorEntry): string {
  switch (entry.kind) {
    case 'step-begin':
      return `{"type":"step_begin","step":${entry.step},"cols":${array(entry.columns, column)}}`;
    case 'row':
      return `{"type":"row","row":${row(entry.row)}}`;
    case 'step-end':
      return `{"type":"step_end","affected_row_count":${entry.affectedRows},"last_insert_rowid":${rowid(entry.lastInsertRowid)}}`;
    case 'step-error':
      return `{"type":"step_error","step":${entry.step},"error":${failure(entry.error)}}`;
    case 'error':
      return `{"type":"error","error":${failure(entry.error)}}`;
  }
}

const row = (values: readonly SqlValue[]): string => array(values, value);

/** Also what SQLite makes of a NaN. */
const NULL = '{"type":"null"}';

function value(it: SqlValue): string {
  if (it === null) return NULL;
  switch (typeof it) {
    case 'string':
      return `{"type":"text","value":${JSON.stringify(it)}}`;
    case 'bigint':
      return `{"type":"integer","value":"${it}"}`;
    case 'number':
      return Number.isNaN(it) ? NULL : `{"type":"float","value":${float(it)}}`;
    default:
      return `{"type":"blob","base64":"${base64(it)}"}`;
  }
}

/** JSON has no infinity, but readers make one of a number that is too large. */
function float(it: number): string {
  if (Number.isFinite(it)) return Object.is(it, -0) ? '-0.0' : `${it}`;
  return it > 0 ? '1e999' : '-1e999';
}

/** Without padding: every client reads that, some read nothing else. */
function base64(bytes: Uint8Array): string {
  const padded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  const padding = (3 - (bytes.byteLength % 3)) % 3;
  return padding === 0 ? padded : padded.slice(0, -padding);
}

const rowid = (it: bigint | null): string => (it === null ? 'null' : `"${it}"`);

const orNull = (it: string | null): string => (it === null ? 'null' : JSON.stringify(it));

function array<T>(items: readonly T[], textOf: (item: T) => string): string {
  if (items.length === 0) return '[]';
  let text = '';
  for (const item of items) text += text === '' ? `[${textOf(item)}` : `,${textOf(item)}`;
  return `${text}]`;
}
