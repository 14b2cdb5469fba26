import { seen } from '../shadow-chars.js';
import { compareTexts } from './python-text.js';

/** The values of templates, which are Python's. */

/** A number with a fractional part in Python, such as 1.0. Integers are plain numbers. */
export class Float {
  constructor(readonly value: number) {}
}

export class Tuple {
  constructor(readonly items: readonly JinjaValue[]) {}
}

/** The value of a missing name, field or item: empty as a text or a list, and an error in most other uses. */
export class Undefined {
  constructor(readonly why: string) {}
}

/** The result of filters such as `map`: true even if it is empty, without a length, and empty once it was iterated. */
export class Lazy {
  constructor(private items: readonly JinjaValue[]) {}

  take(): readonly JinjaValue[] {
    const { items } = this;
    this.items = [];
    return items;
  }
}

/** A namespace, or the state of a loop. */
export class Attributes {
  constructor(
    readonly type: 'Namespace' | 'LoopContext',
    readonly fields: Map<string, JinjaValue>,
    /** Fields that are computed when they are asked for. */
    private readonly computed: (name: string) => JinjaValue | undefined = () => undefined,
  ) {}

  field(name: string): JinjaValue | undefined {
    const stored = this.fields.get(name);
    return stored === undefined ? this.computed(name) : stored;
  }
}

/** A function, macro or bound method. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly JinjaValue[], named: ReadonlyMap<string, JinjaValue>) => JinjaValue,
  ) {}
}

/** The content of a message that has none: None, but printed as an empty text, while Python prints `None` into the prompt. */
export class NoContent {
  readonly isNone = true;
}
export const NO_CONTENT = new NoContent();

export type Key = string | number | boolean | null;
export type JinjaValue =
  | Key
  | Float
  | Tuple
  | Undefined
  | Lazy
  | Attributes
  | Callable
  | NoContent
  | readonly JinjaValue[]
  | ReadonlyMap<Key, JinjaValue>;

/** An error of the template, in the words of Python where they are known. */
export class TemplateError extends Error {}

export function isList(value: JinjaValue): value is readonly JinjaValue[] {
  return Array.isArray(value);
}

export function isNone(value: JinjaValue): value is null | NoContent {
  return value === null || value instanceof NoContent;
}

/** A value of JSON, with maps and `Float` as `fromJsonText` has them, or a function of the globals. */
export function fromJson(value: unknown): JinjaValue {
  if (typeof value === 'number') return Number.isInteger(value) ? value : new Float(value);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (value === undefined) return new Undefined('a value is undefined');
  if (value instanceof Callable || value instanceof NoContent || value instanceof Float) return value;
  if (Array.isArray(value)) return value.map(fromJson);
  const fields = value instanceof Map ? [...value] : Object.entries(value as object);
  return new Map(fields.map(([key, item]) => [key, fromJson(item)]));
}

/** The name of a value's type in Python. */
export function typeName(value: JinjaValue): string {
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (isNone(value)) return 'NoneType';
  if (isList(value)) return 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Attributes) return value.type;
  if (value instanceof Lazy) return 'generator';
  return value instanceof Undefined ? 'Undefined' : 'function';
}

export function isTruthy(value: JinjaValue): boolean {
  if (typeof value !== 'object') return Boolean(value);
  if (isNone(value) || value instanceof Undefined) return false;
  if (isList(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Float) return value.value !== 0;
  return value instanceof Tuple ? value.items.length > 0 : true;
}

/** The number of a number or a truth value; null for anything else. */
export function numberOf(value: JinjaValue): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : null;
}

export function equals(a: JinjaValue, b: JinjaValue): boolean {
  if (isNone(a) || isNone(b)) return isNone(a) && isNone(b);
  if (a instanceof Undefined) return b instanceof Undefined;
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== null || right !== null) return left === right;
  if (isList(a)) return isList(b) && equalItems(a, b);
  if (a instanceof Tuple) return b instanceof Tuple && equalItems(a.items, b.items);
  if (a instanceof Map) return b instanceof Map && equalDicts(a, b);
  if (typeof a !== 'string' || typeof b !== 'string') return a === b;
  return a === b || (a.length === b.length && seen(a) === seen(b));
}

function equalItems(a: readonly JinjaValue[], b: readonly JinjaValue[]): boolean {
  return a.length === b.length && a.every((item, i) => equals(item, b[i]!));
}

function equalDicts(a: ReadonlyMap<Key, JinjaValue>, b: ReadonlyMap<Key, JinjaValue>): boolean {
  return (
    a.size === b.size &&
    [...a].every(([key, item]) => {
      const other = itemFor(b, key);
      return other !== undefined && equals(item, other);
    })
  );
}

/** Less than 0 if `a` comes before `b`. @throws TemplateError for values that Python does not compare */
export function compare(a: JinjaValue, b: JinjaValue): number {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== null && right !== null) return left - right;
  if (typeof a === 'string' && typeof b === 'string') return compareTexts(seen(a), seen(b));
  const [x, y] = [itemsOf(a), itemsOf(b)];
  if (x === null || y === null || isList(a) !== isList(b)) throw unordered(a, b);
  const at = x.findIndex((item, i) => i >= y.length || !equals(item, y[i]!));
  if (at < 0) return x.length - y.length;
  return at < y.length ? compare(x[at]!, y[at]!) : 1;
}

function unordered(a: JinjaValue, b: JinjaValue): TemplateError {
  const undefinedOne = [a, b].find((value) => value instanceof Undefined);
  if (undefinedOne instanceof Undefined) return new TemplateError(undefinedOne.why);
  return new TemplateError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

function itemsOf(value: JinjaValue): readonly JinjaValue[] | null {
  if (isList(value)) return value;
  return value instanceof Tuple ? value.items : null;
}

/** The characters of a text as Python counts them. */
export function charsOf(text: string): readonly string[] {
  return Array.from(text);
}

/** The items that a loop over a value has. @throws TemplateError if it has none, as a number */
export function iterated(value: JinjaValue): readonly JinjaValue[] {
  if (isList(value)) return value;
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Tuple) return value.items;
  if (value instanceof Lazy) return value.take();
  if (typeof value === 'string') return charsOf(value);
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

export function lengthOf(value: JinjaValue): number {
  if (typeof value === 'string') return charsOf(value).length;
  if (value instanceof Map) return value.size;
  if (value instanceof Undefined) return 0;
  const items = itemsOf(value);
  if (items !== null) return items.length;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** Whether `item in container` holds. */
export function contains(container: JinjaValue, item: JinjaValue): boolean {
  if (typeof container === 'string') {
    if (typeof item === 'string') return seen(container).includes(seen(item));
    throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map)
    return (
      !(item instanceof Undefined) && itemFor(container as ReadonlyMap<Key, JinjaValue>, keyOf(item)) !== undefined
    );
  if (numberOf(container) !== null || isNone(container))
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  return iterated(container).some((other) => equals(other, item));
}

/** The item of a dictionary with this key, or with one that templates see as the same; undefined if there is none. */
export function itemFor(dict: ReadonlyMap<Key, JinjaValue>, key: Key): JinjaValue | undefined {
  const item = dict.get(key);
  if (item !== undefined || typeof key !== 'string') return item;
  return seenItems(dict).get(seen(key));
}

const seenItemsOf = new WeakMap<object, ReadonlyMap<string, JinjaValue>>();

/** The items of a dictionary by their keys as templates see them. Dictionaries do not change. */
function seenItems(dict: ReadonlyMap<Key, JinjaValue>): ReadonlyMap<string, JinjaValue> {
  const known = seenItemsOf.get(dict);
  if (known !== undefined) return known;
  const items = new Map<string, JinjaValue>();
  for (const [key, item] of dict) if (typeof key === 'string' && !items.has(seen(key))) items.set(seen(key), item);
  seenItemsOf.set(dict, items);
  return items;
}

/** A value as the key of a dictionary. */
export function keyOf(value: JinjaValue): Key {
  if (isNone(value)) return null;
  const number = numberOf(value);
  if (number !== null) return number;
  if (typeof value === 'string') return value;
  throw new TemplateError(`unhashable type: '${typeName(value)}'`);
}
