import type { Budget } from './budget.js';
import type { JinjaValue } from './values.js';

/** The interpreter as filters see it. */
export interface FilterMachine {
  readonly budget: Budget;
  /** `value | name(...)` */
  filter(
    name: string,
    value: JinjaValue,
    args: readonly JinjaValue[],
    named: ReadonlyMap<string, JinjaValue>,
  ): JinjaValue;
  /** `value is name(...)` */
  test(name: string, value: JinjaValue, args: readonly JinjaValue[]): boolean;
}
