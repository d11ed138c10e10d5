import type { StepCondition } from '../sql.ts';
import { CONDITION_DEPTH_MAX } from './limits.ts';
import type { SqlText, StepMessage } from './messages.ts';
import { broken } from './protocol-error.ts';

export function checkDepth(depth: number): void {
  if (depth > CONDITION_DEPTH_MAX) throw broken(`conditions are nested more than ${CONDITION_DEPTH_MAX} deep`);
}

export function checkCount(count: number, what: string, countMax: number): void {
  if (count > countMax) throw broken(`there are more than ${countMax} ${what}`);
}

/** A step is decided by those before it. */
export function checkSteps(steps: readonly StepMessage[]): readonly StepMessage[] {
  for (const [index, { condition }] of steps.entries()) if (condition !== null) checkCondition(condition, index);
  return steps;
}

function checkCondition(condition: StepCondition, index: number): void {
  switch (condition.kind) {
    case 'ok':
    case 'error':
      if (condition.step >= index)
        throw broken(`the condition of step ${index} speaks of step ${condition.step}, which is not before it`);
      return;
    case 'not':
      checkCondition(condition.condition, index);
      return;
    case 'and':
    case 'or':
      for (const each of condition.conditions) checkCondition(each, index);
  }
}

export function oneText(sql: string | null, sqlId: number | null): SqlText {
  const text = sql ?? sqlId;
  if (text === null || (sql !== null && sqlId !== null))
    throw broken('one of sql and sql_id has to be given, and not both');
  return text;
}
