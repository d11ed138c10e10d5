import type { Batch, Condition, Entry, Request, Response, Statement, Value } from './hrana-json.ts';
import type { ProtoJson } from './hrana-schema.ts';

/** From JSON's shape of a message to protobuf's, and back. */

export function protoRequest({ type, ...content }: Request, ids: ProtoJson = {}): ProtoJson {
  if ('stmt' in content) return { [type]: { ...ids, stmt: protoStatement(content.stmt) } };
  if ('batch' in content) return { [type]: { ...ids, batch: protoBatch(content.batch) } };
  return { [type]: { ...ids, ...content } };
}

export const protoBatch = ({ steps }: Batch): ProtoJson => ({
  steps: steps.map(({ condition, stmt }) => ({
    ...(condition === undefined ? {} : { condition: protoCondition(condition) }),
    stmt: protoStatement(stmt),
  })),
});

const protoStatement = ({ args = [], named_args = [], ...rest }: Statement): ProtoJson => ({
  ...rest,
  args: args.map(protoValue),
  named_args: named_args.map(({ name, value }) => ({ name, value: protoValue(value) })),
});

function protoValue(value: Value): ProtoJson {
  if (value.type === 'null') return { null: {} };
  return { [value.type]: value.type === 'blob' ? value.base64 : value.value };
}

function protoCondition(condition: Condition): ProtoJson {
  switch (condition.type) {
    case 'ok':
    case 'error':
      return { [`step_${condition.type}`]: condition.step };
    case 'not':
      return { not: protoCondition(condition.cond) };
    case 'is_autocommit':
      return { is_autocommit: {} };
    default:
      return { [condition.type]: { conds: condition.conds.map(protoCondition) } };
  }
}

interface Any {
  readonly [name: string]: Any;
}

/** Of a field that there are many of. */
const list = <T>(field: Any | undefined, plain: (item: Any) => T): readonly T[] =>
  ((field ?? []) as unknown as readonly Any[]).map(plain);

/** `steps`: how many the batch had that it answers. */
export function plainResponse(proto: ProtoJson, steps: number): Response {
  const [type, content] = Object.entries(proto as Any)[0] ?? [];
  const result = content?.['result'] as Any;
  if (type === 'execute') return { type, result: plainResult(result) } as unknown as Response;
  if (type === 'batch') return { type, result: plainBatchResult(result, steps) } as unknown as Response;
  if (type === 'describe') return { type, result: plainDescription(result) } as unknown as Response;
  return { type, ...(content as object) } as unknown as Response;
}

const plainResult = (it: Any) => ({
  cols: list(it['cols'], plainColumn),
  rows: list(it['rows'], plainRow),
  ...plainEffects(it),
});

const plainEffects = (it: Any) => ({
  affected_row_count: Number(it['affected_row_count']),
  last_insert_rowid: it['last_insert_rowid'] ?? null,
});

function plainBatchResult(it: Any, steps: number) {
  const byStep = (entries: Any | undefined, plain: (value: Any) => unknown) => {
    const found = new Map(list(entries, ({ key, value }) => [Number(key), value] as const));
    return Array.from({ length: steps }, (_, step) => {
      const value = found.get(step);
      return value === undefined ? null : plain(value);
    });
  };
  return { step_results: byStep(it['step_results'], plainResult), step_errors: byStep(it['step_errors'], (it) => it) };
}

const plainDescription = (it: Any) => ({
  ...it,
  params: list(it['params'], ({ name }) => ({ name: name ?? null })),
  cols: list(it['cols'], plainColumn),
});

const plainColumn = ({ name, decltype }: Any) => ({ name: name ?? null, decltype: decltype ?? null });

const plainRow = (row: Any) => list(row['values'], plainValue);

function plainValue(value: Any) {
  const [type, content] = Object.entries(value)[0] ?? [];
  if (type === 'null') return { type };
  if (type === 'blob') return { type, base64: (content as unknown as string).replace(/=+$/, '') };
  return { type, value: type === 'float' ? Number(content) : content };
}

export function plainEntry(proto: ProtoJson): Entry {
  const [type, content] = Object.entries(proto as Any)[0] ?? [];
  const it = content as Any;
  if (type === 'row') return { type, row: plainRow(it) } as unknown as Entry;
  if (type === 'step_begin') return { type, step: it['step'], cols: list(it['cols'], plainColumn) } as unknown as Entry;
  if (type === 'step_end') return { type, ...plainEffects(it) } as unknown as Entry;
  return (type === 'error' ? { type, error: it } : { type, ...(it as object) }) as unknown as Entry;
}
