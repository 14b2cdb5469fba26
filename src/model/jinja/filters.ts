import { seen } from '../shadow-chars.js';
import type { Filter, OpenFilter } from './filter.js';
import type { FilterMachine } from './filter-machine.js';
import { jsonOf } from './json-of.js';
import { capitalized } from './letter-case.js';
import { LIST_FILTERS } from './list-filters.js';
import { bound } from './parameters.js';
import { lines, stripped } from './python-text.js';
import { rounded } from './rounding.js';
import { TEXT_METHODS } from './text-methods.js';
import { printedText } from './text-of.js';
import {
  charsOf,
  Float,
  isNone,
  isTruthy,
  type JinjaValue,
  lengthOf,
  numberOf,
  TemplateError,
  typeName,
  Undefined,
} from './values.js';

/** The filters of Jinja: `value | name(...)`. Filters of lists are in `list-filters`. */

type Args = readonly (JinjaValue | undefined)[];

const FILTERS: Readonly<Record<string, Filter | OpenFilter>> = {
  ...LIST_FILTERS,
  string: { parameters: [], apply: printedText },
  safe: { parameters: [], apply: printedText },
  upper: { parameters: [], apply: (value) => printedText(value).toUpperCase() },
  lower: { parameters: [], apply: (value) => printedText(value).toLowerCase() },
  capitalize: { parameters: [], apply: (value) => capitalized(printedText(value)) },
  title: { parameters: [], apply: (value) => titledWords(printedText(value)) },
  trim: { parameters: ['chars'], apply: (value, [chars]) => stripped(printedText(value), charsArg(chars)) },
  replace: { parameters: ['old', 'new', 'count'], required: 2, apply: replaceFilter },
  indent: { parameters: ['width', 'first', 'blank'], apply: indented },
  center: {
    parameters: ['width'],
    apply: (value, [width = 80], { budget }) => TEXT_METHODS.center!.apply(printedText(value), [width], budget),
  },
  truncate: { parameters: ['length', 'killwords', 'end', 'leeway'], apply: truncated },
  format: { applyAll: formatted },
  wordcount: { parameters: [], apply: (value) => seen(printedText(value)).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0 },
  tojson: { parameters: ['ensure_ascii', 'indent', 'separators', 'sort_keys'], apply: json },
  default: { parameters: ['default_value', 'boolean'], apply: orDefault },
  d: { parameters: ['default_value', 'boolean'], apply: orDefault },
  length: { parameters: [], apply: lengthOf },
  count: { parameters: [], apply: lengthOf },
  abs: { parameters: [], apply: absolute },
  int: { parameters: ['default', 'base'], apply: integer },
  float: { parameters: ['default'], apply: float },
  round: { parameters: ['precision', 'method'], apply: roundedBy },
};

/** @throws TemplateError if there is no such filter here, or for a value that it does not take */
export function filtered(
  name: string,
  value: JinjaValue,
  args: readonly JinjaValue[],
  named: ReadonlyMap<string, JinjaValue>,
  machine: FilterMachine,
): JinjaValue {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name]! : null;
  if (filter === null) throw new TemplateError(`the filter '${name}' is not supported`);
  if ('applyAll' in filter) return machine.budget.made(filter.applyAll(value, args, named, machine));
  return machine.budget.made(filter.apply(value, bound(name, filter, args, named), machine));
}

function charsArg(value: JinjaValue | undefined): string | null {
  return value === undefined || isNone(value) ? null : printedText(value);
}

function replaceFilter(value: JinjaValue, [old, fresh, count]: Args, { budget }: FilterMachine): JinjaValue {
  const args = [printedText(old!), printedText(fresh!), ...(count === undefined ? [] : [count])];
  return TEXT_METHODS.replace!.apply(printedText(value), args, budget);
}

/** Jinja's own words: they begin after blanks, dashes and opening brackets. */
function titledWords(text: string): string {
  const begins = seen(text).matchAll(/[-\s({[<]+|[^-\s({[<]+/g);
  return Array.from(begins, ({ 0: { length }, index }) => {
    const [first = '', ...rest] = text.slice(index, index + length);
    return first.toUpperCase() + rest.join('').toLowerCase();
  }).join('');
}

/** Python's `%`, of which chat templates use `%s`. */
function formatted(value: JinjaValue, args: readonly JinjaValue[], named: ReadonlyMap<string, JinjaValue>): string {
  let next = 0;
  const text = printedText(value).replace(/%(.?)/gs, (_, kind: string) => {
    if (kind === '%') return '%';
    if (kind !== 's') throw new TemplateError(`format: only %s is supported, not %${kind}`);
    if (next >= args.length) throw new TemplateError('not enough arguments for format string');
    return printedText(args[next++]!);
  });
  if (next < args.length || named.size > 0)
    throw new TemplateError('not all arguments converted during string formatting');
  return text;
}

function indented(
  value: JinjaValue,
  [width = 4, first = false, blank = false]: Args,
  { budget }: FilterMachine,
): string {
  const indent = typeof width === 'string' ? width : ' '.repeat(width as number);
  const [head = '', ...rest] = lines(`${printedText(value)}\n`, false);
  budget.reserveChars(indent.length * (rest.length + 1));
  const others = rest.map((line) => (isTruthy(blank) || line !== '' ? indent + line : line));
  return (isTruthy(first) ? indent : '') + [head, ...others].join('\n');
}

function truncated(value: JinjaValue, [length = 255, killsWords = false, end = '...', leeway = 5]: Args): JinjaValue {
  const [most, tail] = [numberOf(length) ?? 0, printedText(end)];
  const least = charsOf(tail).length;
  if (most < least) throw new TemplateError(`expected length >= ${least}, got ${most}`);
  if (lengthOf(value) <= most + (numberOf(leeway) ?? 0)) return value;
  if (typeof value !== 'string')
    throw new TemplateError(`a value of the type ${typeName(value)} is too long to truncate`);
  const chars = charsOf(value);
  const kept = chars.slice(0, most - least).join('');
  if (isTruthy(killsWords)) return kept + tail;
  const cut = kept.lastIndexOf(' ');
  return (cut < 0 ? kept : kept.slice(0, cut)) + tail;
}

function json(value: JinjaValue, [isAscii = false, indent = null, separators = null, sortsKeys = false]: Args): string {
  const unit = isNone(indent) ? null : typeof indent === 'string' ? indent : ' '.repeat(numberOf(indent) ?? 0);
  const pair = isNone(separators) ? [unit === null ? ', ' : ',', ': '] : pairOf(separators);
  const [itemSeparator, keySeparator] = pair as [string, string];
  return jsonOf(value, {
    ...{ indent: unit, itemSeparator, keySeparator },
    ...{ isAscii: isTruthy(isAscii), sortsKeys: isTruthy(sortsKeys) },
  });
}

function pairOf(separators: JinjaValue): readonly JinjaValue[] {
  const items = Array.isArray(separators)
    ? separators
    : ((separators as { items?: readonly JinjaValue[] }).items ?? []);
  if (items.length === 2 && items.every((item) => typeof item === 'string')) return items;
  throw new TemplateError('separators must be two texts');
}

function orDefault(value: JinjaValue, [other = '', isBoolean = false]: Args): JinjaValue {
  return value instanceof Undefined || (isTruthy(isBoolean) && !isTruthy(value)) ? other : value;
}

function absolute(value: JinjaValue): JinjaValue {
  if (value instanceof Float) return new Float(Math.abs(value.value));
  return Math.abs(required(value, 'abs'));
}

function required(value: JinjaValue, filter: string): number {
  const number = numberOf(value);
  if (number === null) throw new TemplateError(`the filter '${filter}' needs a number, not '${typeName(value)}'`);
  return number;
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz';

function integer(value: JinjaValue, [other = 0, base = 10]: Args): JinjaValue {
  if (value instanceof Undefined) throw new TemplateError(value.why);
  if (typeof value !== 'string') {
    const number = numberOf(value);
    return number === null || !Number.isFinite(number) ? other : exact(Math.trunc(number));
  }
  const text = withoutPrefix(seen(stripped(value, null)).toLowerCase().replaceAll('_', ''), numberOf(base) ?? 10);
  const digits = DIGITS.slice(0, numberOf(base) ?? 10);
  if (new RegExp(`^[+-]?[${digits}]+$`).test(text)) return exact(Number.parseInt(text, numberOf(base) ?? 10));
  const number = parsedFloat(text);
  return number === null || !Number.isFinite(number) ? other : exact(Math.trunc(number));
}

/** @throws TemplateError for an integer that JavaScript cannot represent */
function exact(integer: number): number {
  if (!Number.isSafeInteger(integer)) throw new TemplateError('an integer is too large');
  return integer;
}

const PREFIXES: Readonly<Record<number, string>> = { 16: '0x', 8: '0o', 2: '0b' };

/** A text of digits without the letters that name its base. */
function withoutPrefix(text: string, base: number): string {
  const prefix = PREFIXES[base];
  return prefix === undefined || !text.startsWith(prefix) ? text : text.slice(prefix.length);
}

function float(value: JinjaValue, [other = new Float(0)]: Args): JinjaValue {
  if (value instanceof Undefined) throw new TemplateError(value.why);
  const number = typeof value === 'string' ? parsedFloat(seen(stripped(value, null))) : numberOf(value);
  return number === null ? other : new Float(number);
}

function parsedFloat(text: string): number | null {
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special !== null) return special[2]!.toLowerCase() === 'nan' ? Number.NaN : Number(`${special[1]}Infinity`);
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
}

function roundedBy(value: JinjaValue, [precision = 0, method = 'common']: Args): JinjaValue {
  const [number, places] = [required(value, 'round'), required(precision, 'round')];
  const factor = 10 ** places;
  if (method === 'ceil') return new Float(Math.ceil(number * factor) / factor);
  if (method === 'floor') return new Float(Math.floor(number * factor) / factor);
  if (method !== 'common') throw new TemplateError('method must be common, ceil or floor');
  return value instanceof Float ? new Float(rounded(number, places)) : exact(rounded(number, Math.min(places, 0)));
}
