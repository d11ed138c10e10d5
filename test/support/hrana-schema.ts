import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import {
  type FieldDescriptorProto,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

/**
 * The messages of Hrana 3 for the protobuf library's own, reflective codec: an encoder that shares nothing with ours.
 * A field is `name type number`; `?` after the type: presence is told; `[]`: many; `|`: one of a message's alternatives.
 */
const MESSAGES: Readonly<Record<string, string>> = {
  Empty: '',
  Error: 'message string 1, code string? 2',
  Value: 'null Empty| 1, integer sint64| 2, float double| 3, text string| 4, blob bytes| 5',
  NamedArg: 'name string 1, value Value 2',
  Stmt: 'sql string? 1, sql_id int32? 2, args Value[] 3, named_args NamedArg[] 4, want_rows bool? 5',
  Cond: 'step_ok uint32| 1, step_error uint32| 2, not Cond| 3, and CondList| 4, or CondList| 5, is_autocommit Empty| 6',
  CondList: 'conds Cond[] 1',
  Step: 'condition Cond 1, stmt Stmt 2',
  Batch: 'steps Step[] 1',
  Col: 'name string? 1, decltype string? 2',
  Row: 'values Value[] 1',
  Result: 'cols Col[] 1, rows Row[] 2, affected_row_count uint64 3, last_insert_rowid sint64? 4',
  StepResult: 'key uint32 1, value Result 2',
  StepError: 'key uint32 1, value Error 2',
  BatchResult: 'step_results StepResult[] 1, step_errors StepError[] 2',
  Param: 'name string? 1',
  Description: 'params Param[] 1, cols Col[] 2, is_explain bool 3, is_readonly bool 4',
  StepBegin: 'step uint32 1, cols Col[] 2',
  StepEnd: 'affected_row_count uint64 1, last_insert_rowid sint64? 2',
  StepFailed: 'step uint32 1, error Error 2',
  Entry: 'step_begin StepBegin| 1, step_end StepEnd| 2, step_error StepFailed| 3, row Row| 4, error Error| 5',

  Execute: 'stmt Stmt 1',
  BatchOf: 'batch Batch 1',
  Text: 'sql string? 1, sql_id int32? 2',
  Store: 'sql_id int32 1, sql string 2',
  Executed: 'result Result 1',
  Batched: 'result BatchResult 1',
  Described: 'result Description 1',
  Autocommit: 'is_autocommit bool 1',
  HttpRequest:
    'close Empty| 1, execute Execute| 2, batch BatchOf| 3, sequence Text| 4, describe Text| 5, store_sql Store| 6, close_sql Store| 7, get_autocommit Empty| 8',
  HttpResponse:
    'close Empty| 1, execute Executed| 2, batch Batched| 3, sequence Empty| 4, describe Described| 5, store_sql Empty| 6, close_sql Empty| 7, get_autocommit Autocommit| 8',
  HttpResult: 'ok HttpResponse| 1, error Error| 2',
  PipelineRequest: 'baton string? 1, requests HttpRequest[] 2',
  PipelineResponse: 'baton string? 1, base_url string? 2, results HttpResult[] 3',
  CursorRequest: 'baton string? 1, batch Batch 2',
  CursorResponse: 'baton string? 1, base_url string? 2',

  StreamId: 'stream_id int32 1',
  WsExecute: 'stream_id int32 1, stmt Stmt 2',
  WsBatch: 'stream_id int32 1, batch Batch 2',
  WsText: 'stream_id int32 1, sql string? 2, sql_id int32? 3',
  OpenCursor: 'stream_id int32 1, cursor_id int32 2, batch Batch 3',
  Fetch: 'cursor_id int32 1, max_count uint32 2',
  Fetched: 'entries Entry[] 1, done bool 2',
  Request:
    'request_id int32 1, open_stream StreamId| 2, close_stream StreamId| 3, execute WsExecute| 4, batch WsBatch| 5, open_cursor OpenCursor| 6, close_cursor Fetch| 7, fetch_cursor Fetch| 8, sequence WsText| 9, describe WsText| 10, store_sql Store| 11, close_sql Store| 12, get_autocommit StreamId| 13',
  Response:
    'request_id int32 1, open_stream Empty| 2, close_stream Empty| 3, execute Executed| 4, batch Batched| 5, open_cursor Empty| 6, close_cursor Empty| 7, fetch_cursor Fetched| 8, sequence Empty| 9, describe Described| 10, store_sql Empty| 11, close_sql Empty| 12, get_autocommit Autocommit| 13',
  Hello: 'jwt string? 1',
  Failed: 'request_id int32 1, error Error 2',
  HelloFailed: 'error Error 1',
  ClientMessage: 'hello Hello| 1, request Request| 2',
  ServerMessage: 'hello_ok Empty| 1, hello_error HelloFailed| 2, response_ok Response| 3, response_error Failed| 4',
};

export type ProtoJson = { readonly [name: string]: unknown };

const SCALARS: Readonly<Record<string, Type>> = {
  string: Type.STRING,
  bytes: Type.BYTES,
  bool: Type.BOOL,
  int32: Type.INT32,
  uint32: Type.UINT32,
  uint64: Type.UINT64,
  sint64: Type.SINT64,
  double: Type.DOUBLE,
};

const registry = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'test.proto',
    syntax: 'proto3',
    messageType: Object.entries(MESSAGES).map(([name, text]) => describeMessage(name, text)),
  }),
  () => undefined,
);

function describeMessage(name: string, text: string) {
  const fields = text === '' ? [] : text.split(', ').map((field) => field.split(' ') as [string, string, string]);
  const oneofs = fields.some(([, type]) => type.endsWith('|')) ? ['which'] : [];
  const field = fields.map(([fieldName, type, number]) => {
    const bare = type.replace(/[?|]|\[\]$/, '');
    const scalar = SCALARS[bare];
    if (type.endsWith('?')) oneofs.push(`_${fieldName}`);
    return {
      name: fieldName,
      jsonName: fieldName,
      number: Number(number),
      label: type.endsWith('[]') ? Label.REPEATED : Label.OPTIONAL,
      ...(scalar === undefined ? { type: Type.MESSAGE, typeName: `.${bare}` } : { type: scalar }),
      ...(type.endsWith('|') ? { oneofIndex: 0 } : {}),
      ...(type.endsWith('?') ? { oneofIndex: oneofs.length - 1, proto3Optional: true } : {}),
    } satisfies Partial<FieldDescriptorProto>;
  });
  return { name, field, oneofDecl: oneofs.map((oneof) => ({ name: oneof })) };
}

function schemaOf(name: string): DescMessage {
  const schema = registry.getMessage(name);
  if (schema === undefined) throw new Error(`no message ${name}`);
  return schema;
}

export const encode = (name: string, json: ProtoJson): Uint8Array =>
  toBinary(schemaOf(name), fromJson(schemaOf(name), json as Parameters<typeof fromJson>[1]));

/** With every field that has no presence; 64-bit integers as text, bytes in base64. */
export const decode = (name: string, bytes: Uint8Array): ProtoJson =>
  toJson(schemaOf(name), fromBinary(schemaOf(name), bytes), { alwaysEmitImplicit: true }) as ProtoJson;
