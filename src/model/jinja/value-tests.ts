import { isLower, isUpper } from './letter-case.js';
import { printedText } from './text-of.js';
import {
  Attributes,
  Callable,
  compare,
  contains,
  equals,
  Float,
  isList,
  isNone,
  type JinjaValue,
  Lazy,
  numberOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** The tests of Jinja: `value is name`. */

type ValueTest = (value: JinjaValue, args: readonly JinjaValue[]) => boolean;

const TESTS: Readonly<Record<string, ValueTest>> = {
  defined: (value) => !(value instanceof Undefined),
  undefined: (value) => value instanceof Undefined,
  none: isNone,
  boolean: (value) => typeof value === 'boolean',
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === 'number',
  float: (value) => value instanceof Float,
  number: (value) => numberOf(value) !== null,
  string: (value) => typeof value === 'string',
  mapping: (value) => value instanceof Map,
  iterable: isIterable,
  sequence: (value) =>
    typeof value === 'string' ||
    isList(value) ||
    value instanceof Map ||
    value instanceof Tuple ||
    value instanceof Undefined,
  callable: (value) => value instanceof Callable || value instanceof Undefined,
  odd: (value) => remainder(value, 2) === 1,
  even: (value) => remainder(value, 2) === 0,
  divisibleby: (value, [divisor]) => remainder(value, numberOf(divisor ?? null) ?? 0) === 0,
  lower: (value) => isLower(printedText(value)),
  upper: (value) => isUpper(printedText(value)),
  sameas: (value, [other]) => isSame(value, other ?? null),
  in: (value, [container]) => contains(container ?? null, value),
  eq: (value, [other]) => equals(value, other ?? null),
  ne: (value, [other]) => !equals(value, other ?? null),
  lt: (value, [other]) => compare(value, other ?? null) < 0,
  le: (value, [other]) => compare(value, other ?? null) <= 0,
  gt: (value, [other]) => compare(value, other ?? null) > 0,
  ge: (value, [other]) => compare(value, other ?? null) >= 0,
};

const ALIASES: Readonly<Record<string, string>> = {
  ...{ equalto: 'eq', '==': 'eq', '!=': 'ne', '<': 'lt', '<=': 'le', '>': 'gt', '>=': 'ge' },
  ...{ lessthan: 'lt', greaterthan: 'gt' },
};
const WITH_ARGUMENT: ReadonlySet<string> = new Set(['divisibleby', 'sameas', 'in', 'eq', 'ne', 'lt', 'le', 'gt', 'ge']);

/** @throws TemplateError if there is no such test, or for a value that it does not take */
export function tested(name: string, value: JinjaValue, args: readonly JinjaValue[]): boolean {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name;
  if (!Object.hasOwn(TESTS, known)) throw new TemplateError(`the test '${name}' is not supported`);
  if (args.length !== (WITH_ARGUMENT.has(known) ? 1 : 0))
    throw new TemplateError(`the test '${name}' takes another number of arguments than ${args.length}`);
  return TESTS[known]!(value, args);
}

function isIterable(value: JinjaValue): boolean {
  const isContainer = isList(value) || value instanceof Map || value instanceof Tuple || value instanceof Lazy;
  const isLoop = value instanceof Attributes && value.type === 'LoopContext';
  return typeof value === 'string' || isContainer || value instanceof Undefined || isLoop;
}

function remainder(value: JinjaValue, divisor: number): number {
  const number = numberOf(value);
  if (number === null) throw new TemplateError(`unsupported operand type(s) for %: '${typeName(value)}' and 'int'`);
  if (divisor === 0) throw new TemplateError('integer modulo by zero');
  return ((number % divisor) + divisor) % divisor;
}

function isSame(value: JinjaValue, other: JinjaValue): boolean {
  if (isNone(value)) return isNone(other);
  return value instanceof Float && other instanceof Float ? value.value === other.value : value === other;
}
