import { oneText } from './checks.ts';
import { PIPELINE_REQUESTS_MAX } from './limits.ts';
import type { ClientMessage, ConnectionRequest, CursorCall, Pipeline, SqlRequest, StreamRequest } from './messages.ts';
import {
  type Fields,
  int32,
  message,
  needed,
  oneOf,
  optionalText,
  type ReadMessage,
  repeated,
  text,
  uint32,
  wholeMessage,
} from './protobuf-fields.ts';
import { readStatement, readSteps, sqlTextFields } from './protobuf-read-sql.ts';

/** A message with these fields, made into something. */
function as<F extends object, T>(fields: Fields<F>, make: (fields: F) => T): ReadMessage<T> {
  const read = message(fields);
  return (reader, end) => make(read(reader, end));
}

const storeSql = as({ sqlId: int32(1), sql: text(2) }, (it) => ({ kind: 'store_sql' as const, ...it }));
const closeSql = as({ sqlId: int32(1) }, (it) => ({ kind: 'close_sql' as const, ...it }));

const readStreamRequest = as(
  {
    request: oneOf(
      new Map<number, ReadMessage<StreamRequest>>([
        [1, as({}, () => ({ kind: 'close' }))],
        [2, as({ statement: needed(1, readStatement) }, (it) => ({ kind: 'execute', ...it }))],
        [3, as({ steps: needed(1, readSteps) }, (it) => ({ kind: 'batch', ...it }))],
        [4, as(sqlTextFields(1), ({ sql, sqlId }) => ({ kind: 'sequence', text: oneText(sql, sqlId) }))],
        [5, as(sqlTextFields(1), ({ sql, sqlId }) => ({ kind: 'describe', text: oneText(sql, sqlId) }))],
        [6, storeSql],
        [7, closeSql],
        [8, as({}, () => ({ kind: 'get_autocommit' }))],
      ]),
    ),
  },
  ({ request }) => request,
);

const streamId = int32(1);

/** A request to a stream, over WebSocket. */
const sql = <F extends object>(fields: Fields<F>, make: (fields: F) => SqlRequest): ReadMessage<ConnectionRequest> => {
  const content = message(fields);
  const target = message({ streamId });
  return (reader, end) => {
    const begin = reader.pos;
    const request = make(content(reader, end));
    reader.pos = begin;
    return { kind: 'sql', ...target(reader, end), request };
  };
};

const readRequest = as(
  {
    requestId: int32(1),
    request: oneOf(
      new Map<number, ReadMessage<ConnectionRequest>>([
        [2, as({ streamId }, (it) => ({ kind: 'open_stream', ...it }))],
        [3, as({ streamId }, (it) => ({ kind: 'close_stream', ...it }))],
        [4, sql({ statement: needed(2, readStatement) }, (it) => ({ kind: 'execute', ...it }))],
        [5, sql({ steps: needed(2, readSteps) }, (it) => ({ kind: 'batch', ...it }))],
        [
          6,
          as({ streamId, cursorId: int32(2), steps: needed(3, readSteps) }, (it) => ({ kind: 'open_cursor', ...it })),
        ],
        [7, as({ cursorId: int32(1) }, (it) => ({ kind: 'close_cursor', ...it }))],
        [8, as({ cursorId: int32(1), countMax: uint32(2) }, (it) => ({ kind: 'fetch_cursor', ...it }))],
        [9, sql(sqlTextFields(2), (it) => ({ kind: 'sequence', text: oneText(it.sql, it.sqlId) }))],
        [10, sql(sqlTextFields(2), (it) => ({ kind: 'describe', text: oneText(it.sql, it.sqlId) }))],
        [11, storeSql],
        [12, closeSql],
        [13, sql({}, () => ({ kind: 'get_autocommit' }))],
      ]),
    ),
  },
  (it): ClientMessage => ({ kind: 'request', ...it }),
);

export const readPipeline: (body: Uint8Array) => Pipeline = wholeMessage(
  message({
    baton: optionalText(1),
    requests: repeated(2, readStreamRequest, 'requests', PIPELINE_REQUESTS_MAX),
  }),
);

export const readCursorCall: (body: Uint8Array) => CursorCall = wholeMessage(
  message({ baton: optionalText(1), steps: needed(2, readSteps) }),
);

export const readClientMessage: (bytes: Uint8Array) => ClientMessage = wholeMessage(
  as(
    {
      content: oneOf(
        new Map<number, ReadMessage<ClientMessage>>([
          [1, as({ jwt: optionalText(1) }, (it) => ({ kind: 'hello', ...it }))],
          [2, readRequest],
        ]),
      ),
    },
    ({ content }) => content,
  ),
);
