import type { SQLInputValue } from 'node:sqlite';
import type { SqlValue } from '../sql.ts';
import { isNumbered } from '../sql-text.ts';
import type { Prepared } from './prepared.ts';
import type { WireStep } from './protocol.ts';
import { argumentsFailure } from './sqlite-error.ts';

/** What a prepared statement is called with: the values of parameters with a name first, then those of `?` and `?7` in order. */
export type Arguments = readonly SQLInputValue[];

type Named = Record<string, SQLInputValue>;

/**
 * The arguments of a step for its statement's parameters, as Hrana has it: by position or by name, a name with or without
 * its prefix, the name first. One too few or too many is an error.
 */
export function bindArguments(prepared: Prepared, [, positional, named]: WireStep): Arguments {
  const { parameters } = prepared;
  if (positional.length > parameters.length) {
    throw argumentsFailure(`too many parameters, expected ${parameters.length} found ${positional.length}`);
  }
  if (!prepared.isNamed && named === null) {
    if (positional.length === parameters.length || prepared.traits.isExplain) return positional;
    throw argumentsFailure(`value for parameter ${positional.length + 1} not found`);
  }
  return bindNamed(prepared, positional, new Map(named));
}

function bindNamed(
  { parameters, traits }: Prepared,
  positional: readonly SqlValue[],
  named: Map<string, SqlValue>,
): Arguments {
  const byName: Named = {};
  const byOrder: SQLInputValue[] = [];
  for (const [index, name] of parameters.entries()) {
    const value = name === null ? positional[index] : argumentOf(name, index, positional, named);
    if (value === undefined && !traits.isExplain)
      throw argumentsFailure(`value for parameter ${name ?? index + 1} not found`);
    if (name === null || isNumbered(name)) byOrder.push(value ?? null);
    else byName[name] = value ?? null;
  }
  const [unknown] = named.keys();
  if (unknown !== undefined) throw argumentsFailure(`there is no parameter ${unknown}`);
  return [byName as unknown as SQLInputValue, ...byOrder];
}

/** NULL is a value as any other. */
function argumentOf(name: string, index: number, positional: readonly SqlValue[], named: Map<string, SqlValue>) {
  const value = take(named, name);
  return value === undefined ? byNumber(positional, name, index) : value;
}

/** Names that were taken are taken out, so that what is left is too many. */
function take(named: Map<string, SqlValue>, name: string): SqlValue | undefined {
  const spelling = named.has(name) ? name : name.slice(1);
  const value = named.get(spelling);
  named.delete(spelling);
  return value;
}

const byNumber = (positional: readonly SqlValue[], name: string, index: number): SqlValue | undefined =>
  positional[isNumbered(name) ? Number(name.slice(1)) - 1 : index];
