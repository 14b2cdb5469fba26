import type { Budget } from './budget.js';
import type { Value } from './values.js';

/** The interpreter as filters see it. */
export interface Machine {
  readonly budget: Budget;
  /** `value | name(...)` */
  filter(name: string, value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value;
  /** `value is name(...)` */
  test(name: string, value: Value, args: readonly Value[]): boolean;
}
