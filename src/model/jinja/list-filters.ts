import type { Filter, OpenFilter } from './filter.js';
import type { FilterMachine } from './filter-machine.js';
import { itemOf } from './members.js';
import { printedText } from './text-of.js';
import {
  compare,
  equals,
  Float,
  isNone,
  isTruthy,
  iterated,
  type JinjaValue,
  type Key,
  Lazy,
  numberOf,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.js';

/** The filters of Jinja for lists and dictionaries. */

type Args = readonly (JinjaValue | undefined)[];

export const LIST_FILTERS: Readonly<Record<string, Filter | OpenFilter>> = {
  list: { parameters: [], apply: (value) => [...iterated(value)] },
  first: { parameters: [], apply: (value) => oneOf(iterated(value), 0, 'No first item') },
  last: { parameters: [], apply: lastItem },
  reverse: { parameters: [], apply: reversed },
  join: { parameters: ['d', 'attribute'], apply: join },
  sort: { parameters: ['reverse', 'case_sensitive', 'attribute'], apply: sorted },
  unique: { parameters: ['case_sensitive', 'attribute'], apply: unique },
  min: {
    parameters: ['case_sensitive', 'attribute'],
    apply: (value, args, machine) => extreme(value, args, machine, -1),
  },
  max: {
    parameters: ['case_sensitive', 'attribute'],
    apply: (value, args, machine) => extreme(value, args, machine, 1),
  },
  sum: { parameters: ['attribute', 'start'], apply: sum },
  batch: { parameters: ['linecount', 'fill_with'], required: 1, apply: batches },
  items: { parameters: [], apply: (value) => new Lazy(value instanceof Undefined ? [] : pairs(value)) },
  dictsort: { parameters: ['case_sensitive', 'by', 'reverse'], apply: dictsort },
  map: { applyAll: map },
  select: { applyAll: (value, args, _, machine) => chosen(value, args, machine, true) },
  reject: { applyAll: (value, args, _, machine) => chosen(value, args, machine, false) },
  selectattr: { applyAll: (value, args, _, machine) => chosenByAttribute(value, args, machine, true) },
  rejectattr: { applyAll: (value, args, _, machine) => chosenByAttribute(value, args, machine, false) },
};

function lastItem(value: JinjaValue): JinjaValue {
  if (value instanceof Lazy) throw new TemplateError("'generator' object is not reversible");
  return oneOf(iterated(value), -1, 'No last item');
}

function oneOf(items: readonly JinjaValue[], index: number, none: string): JinjaValue {
  const item = items.at(index);
  return item === undefined ? new Undefined(`${none}, sequence was empty.`) : item;
}

function reversed(value: JinjaValue): JinjaValue {
  const items = [...iterated(value)].reverse();
  return typeof value === 'string' ? items.join('') : new Lazy(items);
}

/** The attribute of an item by a path such as `function.name` or `0.name`. */
function attributeOf(item: JinjaValue, path: JinjaValue, { budget }: FilterMachine): JinjaValue {
  const parts =
    typeof path === 'string' ? path.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part)) : [path];
  return parts.reduce((value: JinjaValue, part) => itemOf(value, part, budget), item);
}

/** The key by which items are sorted or compared: an attribute, in lower case. */
function keyFor(
  attribute: JinjaValue | undefined,
  isCaseSensitive: JinjaValue | undefined,
  machine: FilterMachine,
): (item: JinjaValue) => JinjaValue {
  return (item) => {
    const value = attribute === undefined || isNone(attribute) ? item : attributeOf(item, attribute, machine);
    return typeof value === 'string' && !isTruthy(isCaseSensitive ?? false) ? value.toLowerCase() : value;
  };
}

function join(value: JinjaValue, [separator = '', attribute]: Args, machine: FilterMachine): string {
  const items = iterated(value);
  const texts = items.map((item) =>
    printedText(attribute === undefined || isNone(attribute) ? item : attributeOf(item, attribute, machine)),
  );
  const between = printedText(separator);
  machine.budget.reserveChars(texts.reduce((all, text) => all + text.length, 0) + between.length * texts.length);
  return texts.join(between);
}

function inOrder(
  items: readonly JinjaValue[],
  key: (item: JinjaValue) => JinjaValue,
  isReversed: boolean,
): JinjaValue[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  // Equal items keep their order, reversed or not.
  return keyed.sort((a, b) => (isReversed ? compare(b.key, a.key) : compare(a.key, b.key))).map(({ item }) => item);
}

function sorted(
  value: JinjaValue,
  [reverse = false, isCaseSensitive, attribute]: Args,
  machine: FilterMachine,
): JinjaValue {
  if (typeof attribute === 'string' && attribute.includes(','))
    throw new TemplateError('sorting by several attributes is not supported');
  return inOrder(iterated(value), keyFor(attribute, isCaseSensitive, machine), isTruthy(reverse));
}

function unique(value: JinjaValue, [isCaseSensitive, attribute]: Args, machine: FilterMachine): JinjaValue {
  const key = keyFor(attribute, isCaseSensitive, machine);
  const seen: JinjaValue[] = [];
  const kept = iterated(value).filter((item) => {
    const own = key(item);
    machine.budget.step();
    if (seen.some((other) => equals(other, own))) return false;
    seen.push(own);
    return true;
  });
  return new Lazy(kept);
}

function extreme(
  value: JinjaValue,
  [isCaseSensitive, attribute]: Args,
  machine: FilterMachine,
  sign: number,
): JinjaValue {
  const key = keyFor(attribute, isCaseSensitive, machine);
  const items = iterated(value);
  if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
  return items.reduce((best, item) => (sign * compare(key(item), key(best)) > 0 ? item : best));
}

function sum(value: JinjaValue, [attribute, start = 0]: Args, machine: FilterMachine): JinjaValue {
  const items = iterated(value).map((item) =>
    attribute === undefined || isNone(attribute) ? item : attributeOf(item, attribute, machine),
  );
  const all = [start, ...items];
  const numbers = all.map((item) => {
    const number = numberOf(item);
    if (number === null) throw new TemplateError(`unsupported operand type(s) for +: 'int' and '${typeName(item)}'`);
    return number;
  });
  const total = numbers.reduce((a, b) => a + b);
  return all.some((item) => item instanceof Float) ? new Float(total) : total;
}

function batches(value: JinjaValue, [size, fill]: Args, { budget }: FilterMachine): JinjaValue {
  const count = numberOf(size!) ?? 0;
  if (count < 1) throw new TemplateError('a batch must have at least one item');
  const items = iterated(value);
  const made: JinjaValue[][] = [];
  for (let at = 0; at < items.length; at += count) made.push(items.slice(at, at + count));
  const last = made.at(-1);
  if (last !== undefined && fill !== undefined && !isNone(fill)) {
    budget.reserveItems(count);
    while (last.length < count) last.push(fill);
  }
  return new Lazy(made);
}

function pairs(value: JinjaValue): Tuple[] {
  if (!(value instanceof Map)) throw new TemplateError('a mapping is needed for pairs of keys and items');
  return [...(value as ReadonlyMap<Key, JinjaValue>)].map(([key, item]) => new Tuple([key, item]));
}

function dictsort(
  value: JinjaValue,
  [isCaseSensitive, by = 'key', reverse = false]: Args,
  machine: FilterMachine,
): JinjaValue {
  if (by !== 'key' && by !== 'value') throw new TemplateError("dictsort sorts by 'key' or by 'value'");
  return inOrder(pairs(value), keyFor(by === 'key' ? 0 : 1, isCaseSensitive, machine), isTruthy(reverse));
}

function map(
  value: JinjaValue,
  args: readonly JinjaValue[],
  named: ReadonlyMap<string, JinjaValue>,
  machine: FilterMachine,
): JinjaValue {
  const attribute = args.length === 0 ? named.get('attribute') : undefined;
  if (attribute !== undefined) {
    const other = named.get('default');
    return new Lazy(
      iterated(value).map((item) => {
        const found = attributeOf(item, attribute, machine);
        return found instanceof Undefined && other !== undefined ? other : found;
      }),
    );
  }
  const [name, ...rest] = args;
  if (typeof name !== 'string') throw new TemplateError('map requires a filter argument');
  return new Lazy(iterated(value).map((item) => machine.filter(name, item, rest, named)));
}

function chosen(value: JinjaValue, args: readonly JinjaValue[], machine: FilterMachine, wanted: boolean): JinjaValue {
  const holds = predicate(args, machine);
  return new Lazy(iterated(value).filter((item) => holds(item) === wanted));
}

function chosenByAttribute(
  value: JinjaValue,
  args: readonly JinjaValue[],
  machine: FilterMachine,
  wanted: boolean,
): JinjaValue {
  const [attribute, ...rest] = args;
  if (attribute === undefined) throw new TemplateError('selectattr and rejectattr need the name of an attribute');
  const holds = predicate(rest, machine);
  return new Lazy(iterated(value).filter((item) => holds(attributeOf(item, attribute, machine)) === wanted));
}

/** A test by its name, with its arguments; without one, whether a value is true. */
function predicate([name, ...rest]: readonly JinjaValue[], machine: FilterMachine): (value: JinjaValue) => boolean {
  if (name === undefined) return isTruthy;
  return (value) => machine.test(printedText(name), value, rest);
}
