import type { Budget } from './budget.js';
import { printedText } from './text-of.js';
import {
  compare,
  contains,
  equals,
  Float,
  isList,
  type JinjaValue,
  numberOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** The operators of Jinja, but for `and`, `or` and `not`. */

/** @throws TemplateError for values that the operator does not take, as in Python */
export function operated(operator: string, left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue {
  switch (operator) {
    case '==':
      return equals(left, right);
    case '!=':
      return !equals(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    case '>=':
      return compare(left, right) >= 0;
    case '~':
      return budget.made(printedText(left) + printedText(right));
    case '+':
      return budget.made(sum(left, right));
    default:
      return arithmetic(operator, left, right, budget);
  }
}

export function negated(value: JinjaValue, operator: string): JinjaValue {
  const number = numberOf(value);
  if (number === null) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const result = operator === '-' ? -number : number;
  return value instanceof Float ? new Float(result) : result + 0;
}

function sum(left: JinjaValue, right: JinjaValue): JinjaValue {
  if (typeof left === 'string' && typeof right === 'string') return left + right;
  if (isList(left) && isList(right)) return [...left, ...right];
  if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  return computed('+', left, right, (a, b) => a + b);
}

function arithmetic(operator: string, left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue {
  switch (operator) {
    case '-':
      return computed(operator, left, right, (a, b) => a - b);
    case '*':
      return repeated(left, right, budget) ?? computed(operator, left, right, (a, b) => a * b);
    case '/':
      return new Float(numberOf(computed(operator, left, right, (a, b) => a / divisor(b)))!);
    case '//':
      return computed(operator, left, right, (a, b) => Math.floor(a / divisor(b)));
    case '%':
      if (typeof left === 'string') throw new TemplateError("the operator '%' of texts is not supported");
      return computed(operator, left, right, (a, b) => a - Math.floor(a / divisor(b)) * b);
    case '**':
      return power(left, right);
    default:
      throw new TemplateError(`the operator '${operator}' is not supported`);
  }
}

function divisor(number: number): number {
  if (number === 0) throw new TemplateError('division by zero');
  return number;
}

function power(left: JinjaValue, right: JinjaValue): JinjaValue {
  const result = computed('**', left, right, (a, b) => (b < 0 ? divisor(a) : a) ** b);
  return (numberOf(right) ?? 0) < 0 ? new Float(numberOf(result)!) : result;
}

/** An operation on two numbers: an integer, unless one of them is a float. */
function computed(
  operator: string,
  left: JinjaValue,
  right: JinjaValue,
  apply: (a: number, b: number) => number,
): JinjaValue {
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a === null || b === null) throw unsupported(operator, left, right);
  const result = apply(a, b);
  if (left instanceof Float || right instanceof Float || operator === '/') return new Float(result);
  // Python's integers have no limit.
  if (Math.abs(result) > Number.MAX_SAFE_INTEGER) throw new TemplateError('an integer is too large');
  return operator === '**' && !Number.isInteger(result) ? new Float(result) : result;
}

function unsupported(operator: string, left: JinjaValue, right: JinjaValue): TemplateError {
  for (const value of [left, right]) if (value instanceof Undefined) return new TemplateError(value.why);
  if (operator === '+' && typeof left === 'string')
    return new TemplateError(`can only concatenate str (not "${typeName(right)}") to str`);
  return new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

/** A text or a list several times; null for other operands. */
function repeated(left: JinjaValue, right: JinjaValue, budget: Budget): JinjaValue | null {
  const [of, times] = typeof left === 'number' ? [right, left] : [left, right];
  if (typeof times !== 'number') return null;
  const count = Math.max(0, times);
  if (typeof of === 'string') {
    budget.reserveChars(of.length * count);
    return of.repeat(count);
  }
  if (!isList(of)) return null;
  budget.reserveItems(of.length * count);
  return Array.from({ length: count }, () => of).flat();
}
