/** Messages of Hrana as they stand in JSON: what tests speak, whatever goes over the wire. */

export type Value =
  | { readonly type: 'null' }
  | { readonly type: 'integer'; readonly value: string }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'blob'; readonly base64: string };

export type Statement = {
  readonly sql?: string;
  readonly sql_id?: number;
  readonly args?: readonly Value[];
  readonly named_args?: readonly { readonly name: string; readonly value: Value }[];
  readonly want_rows?: boolean;
};

export type Condition =
  | { readonly type: 'ok' | 'error'; readonly step: number }
  | { readonly type: 'not'; readonly cond: Condition }
  | { readonly type: 'and' | 'or'; readonly conds: readonly Condition[] }
  | { readonly type: 'is_autocommit' };

export type Batch = { readonly steps: readonly { readonly condition?: Condition; readonly stmt: Statement }[] };

export type Request =
  | { readonly type: 'close' | 'get_autocommit' }
  | { readonly type: 'execute'; readonly stmt: Statement }
  | { readonly type: 'batch'; readonly batch: Batch }
  | { readonly type: 'sequence' | 'describe'; readonly sql?: string; readonly sql_id?: number }
  | { readonly type: 'store_sql'; readonly sql_id: number; readonly sql: string }
  | { readonly type: 'close_sql'; readonly sql_id: number };

export type Column = { readonly name: string | null; readonly decltype: string | null };

export type Result = {
  readonly cols: readonly Column[];
  readonly rows: readonly (readonly Value[])[];
  readonly affected_row_count: number;
  readonly last_insert_rowid: string | null;
};

export type Failure = { readonly message: string; readonly code: string };

export type BatchResult = {
  readonly step_results: readonly (Result | null)[];
  readonly step_errors: readonly (Failure | null)[];
};

export type Description = {
  readonly params: readonly { readonly name: string | null }[];
  readonly cols: readonly Column[];
  readonly is_explain: boolean;
  readonly is_readonly: boolean;
};

/** Of any kind: a test knows what it asked for. */
export type Response = {
  readonly type: string;
  readonly result: Result & BatchResult & Description;
  readonly is_autocommit: boolean;
};

export type Entry = {
  readonly type: 'step_begin' | 'row' | 'step_end' | 'step_error' | 'error';
  readonly step: number;
  readonly cols: readonly Column[];
  readonly row: readonly Value[];
  readonly affected_row_count: number;
  readonly last_insert_rowid: string | null;
  readonly error: Failure;
};

export const NULL: Value = { type: 'null' };
export const integer = (value: bigint | number): Value => ({ type: 'integer', value: `${value}` });
export const float = (value: number): Value => ({ type: 'float', value });
export const text = (value: string): Value => ({ type: 'text', value });
export const blob = (...bytes: readonly number[]): Value => ({
  type: 'blob',
  base64: Buffer.from(bytes).toString('base64').replace(/=+$/, ''),
});

/** The server answered with a failure. `status`: it was one of HTTP. */
export class HranaFailure extends Error {
  readonly code: string;
  readonly status: number | null;

  constructor({ message, code }: Failure, status: number | null = null) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
