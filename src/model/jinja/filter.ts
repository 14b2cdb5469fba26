import type { Machine } from './machine.js';
import type { Signature } from './parameters.js';
import type { Value } from './values.js';

/** A filter: `value | name(...)`. */
export interface Filter extends Signature {
  apply(value: Value, args: readonly (Value | undefined)[], machine: Machine): Value;
}

/** A filter whose arguments are those of another filter or test. */
export interface OpenFilter {
  applyAll(value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>, machine: Machine): Value;
}
