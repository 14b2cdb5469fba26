import type { FilterMachine } from './filter-machine.js';
import type { ParameterList } from './parameters.js';
import type { JinjaValue } from './values.js';

/** A filter: `value | name(...)`. */
export interface Filter extends ParameterList {
  apply(value: JinjaValue, args: readonly (JinjaValue | undefined)[], machine: FilterMachine): JinjaValue;
}

/** A filter that takes the arguments of another filter or test. */
export interface OpenFilter {
  applyAll(
    value: JinjaValue,
    args: readonly JinjaValue[],
    named: ReadonlyMap<string, JinjaValue>,
    machine: FilterMachine,
  ): JinjaValue;
}
