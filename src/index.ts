export type { Hooks } from './client/hooks.ts';
export type { MirrorPlan, PlannedTable } from './client/plan.ts';
export type { WipeMode } from './client/write-batches.ts';
export { type ErrorCode, type ErrorReport, type Recovery, SpeilError } from './core/error.ts';
export type { TableName } from './core/table.ts';
export {
  type MirrorOptions,
  type MirrorStatus,
  mirror,
  plan,
  resync,
  status,
  type TableStatus,
  untrack,
} from './mirror.ts';
export type { SchemaChange, TableSummary } from './task/contract.ts';
export type { CycleReport, TableOutlook, TableReport, TaskEvent } from './task/report.ts';
export { type TableVerdict, type VerifyOptions, type VerifyProgress, type VerifyReport, verify } from './verify.ts';
