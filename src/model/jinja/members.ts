import type { Budget } from './budget.js';
import { bound, type ParameterList } from './parameters.js';
import { TEXT_METHODS } from './text-methods.js';
import {
  Attributes,
  Callable,
  charsOf,
  equals,
  isList,
  isNone,
  itemFor,
  type JinjaValue,
  type Key,
  keyOf,
  lengthOf,
  numberOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** Fields, items and methods of values, as Jinja looks for them. */

interface Method<T> extends ParameterList {
  apply(of: T, args: readonly (JinjaValue | undefined)[], budget: Budget): JinjaValue;
}

type Dict = ReadonlyMap<Key, JinjaValue>;

const DICT_METHODS: Readonly<Record<string, Method<Dict>>> = {
  items: { parameters: [], apply: (dict) => [...dict].map(([key, value]) => new Tuple([key, value])) },
  keys: { parameters: [], apply: (dict) => [...dict.keys()] },
  values: { parameters: [], apply: (dict) => [...dict.values()] },
  copy: { parameters: [], apply: (dict) => new Map(dict) },
  get: { parameters: ['key', 'default'], required: 1, apply: getOr },
};

function getOr(dict: Dict, [key, other = null]: readonly (JinjaValue | undefined)[]): JinjaValue {
  const value = key instanceof Undefined ? undefined : itemFor(dict, keyOf(key!));
  return value === undefined ? other : value;
}

const LIST_METHODS: Readonly<Record<string, Method<readonly JinjaValue[]>>> = {
  copy: { parameters: [], apply: (list) => [...list] },
  count: {
    parameters: ['value'],
    required: 1,
    apply: (list, [value]) => list.filter((item) => equals(item, value!)).length,
  },
  index: { parameters: ['value'], required: 1, apply: indexIn },
};

/** Methods that change a value. The sandbox in which transformers runs templates forbids them. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
};

function indexIn(list: readonly JinjaValue[], [value]: readonly (JinjaValue | undefined)[]): number {
  const index = list.findIndex((item) => equals(item, value!));
  if (index < 0) throw new TemplateError('list.index(x): x not in list');
  return index;
}

/** `value.name`: a method, else a field. @throws TemplateError for a value that is undefined */
export function fieldOf(value: JinjaValue, name: string, budget: Budget): JinjaValue {
  if (value instanceof Undefined) throw new TemplateError(value.why);
  const method = methodOf(value, name, budget);
  if (method !== undefined) return method;
  if (value instanceof Map && value.has(name)) return value.get(name)!;
  return missing(value, name);
}

/** `value[index]`: an item, else a method. @throws TemplateError for a value that is undefined */
export function itemOf(value: JinjaValue, index: JinjaValue, budget: Budget): JinjaValue {
  if (value instanceof Undefined) throw new TemplateError(value.why);
  const item = storedItem(value, index);
  if (item !== undefined) return item;
  if (typeof index === 'string') {
    const method = methodOf(value, index, budget);
    return method === undefined ? missing(value, index) : method;
  }
  return new Undefined(`${typeName(value)} object has no element ${String(numberOf(index) ?? typeName(index))}`);
}

function storedItem(value: JinjaValue, index: JinjaValue): JinjaValue | undefined {
  if (value instanceof Map) return isHashable(index) ? itemFor(value as Dict, keyOf(index)) : undefined;
  if (typeof index !== 'number' && typeof index !== 'boolean') return undefined;
  const at = Number(index);
  if (typeof value === 'string') return charsOf(value).at(at);
  if (isList(value)) return value.at(at);
  return value instanceof Tuple ? value.items.at(at) : undefined;
}

function isHashable(value: JinjaValue): boolean {
  return typeof value === 'string' || numberOf(value) !== null || isNone(value);
}

function missing(value: JinjaValue, name: string): Undefined {
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}'`);
}

/** A bound method, or a field of a namespace; undefined if there is none. */
function methodOf(value: JinjaValue, name: string, budget: Budget): JinjaValue | undefined {
  if (value instanceof Attributes) return value.field(name);
  if (FORBIDDEN[typeName(value)]?.includes(name))
    return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe`);
  if (typeof value === 'string') return boundMethod(TEXT_METHODS, name, value, budget);
  if (value instanceof Map) return boundMethod(DICT_METHODS, name, value as Dict, budget);
  if (isList(value)) return boundMethod(LIST_METHODS, name, value, budget);
  return undefined;
}

function boundMethod<T>(
  methods: Readonly<Record<string, Method<T>>>,
  name: string,
  of: T,
  budget: Budget,
): Callable | undefined {
  if (!Object.hasOwn(methods, name)) return undefined;
  const method = methods[name]!;
  return new Callable(name, (args, named) => method.apply(of, bound(name, method, args, named), budget));
}

/** `value[start:stop:step]`; an undefined bound is the value's own. */
export function sliceOf(value: JinjaValue, bounds: readonly (JinjaValue | undefined)[]): JinjaValue {
  if (value instanceof Undefined) throw new TemplateError(value.why);
  const [start, stop, step = 1] = bounds.map((bound) => sliceIndex(bound));
  if (step === 0) throw new TemplateError('slice step cannot be zero');
  const isSequence = typeof value === 'string' || isList(value) || value instanceof Tuple;
  if (!isSequence) throw new TemplateError(`'${typeName(value)}' object is not subscriptable`);
  const indices = sliceIndices(lengthOf(value), start, stop, step ?? 1);
  const pick = <T>(items: readonly T[]) => indices.map((index) => items[index]!);
  if (typeof value === 'string') return pick(charsOf(value)).join('');
  return value instanceof Tuple ? new Tuple(pick(value.items)) : pick(value);
}

function sliceIndex(value: JinjaValue | undefined): number | undefined {
  if (value === undefined || isNone(value)) return undefined;
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateError('slice indices must be integers or None or have an __index__ method');
}

function sliceIndices(length: number, start: number | undefined, stop: number | undefined, step: number): number[] {
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const within = (index: number) => Math.min(Math.max(index < 0 ? index + length : index, low), high);
  const from = start === undefined ? (step > 0 ? low : high) : within(start);
  const to = stop === undefined ? (step > 0 ? high : low) : within(stop);
  const count = Math.max(0, Math.ceil((to - from) / step));
  return Array.from({ length: count }, (_, i) => from + i * step);
}
