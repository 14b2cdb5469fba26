import type { Budget } from './budget.js';
import { bound } from './parameters.js';
import { strftime } from './strftime.js';
import { printedText } from './text-of.js';
import {
  Attributes,
  Callable,
  isList,
  iterated,
  type JinjaValue,
  type Key,
  keyOf,
  TemplateError,
  Tuple,
  typeName,
} from './values.js';

/** The functions that transformers and Jinja give templates. */

type Named = ReadonlyMap<string, JinjaValue>;

/** @param now the local time */
export function globalsFor(budget: Budget, now: () => Date): Callable[] {
  return [
    new Callable('raise_exception', (args) => {
      throw new TemplateError(args.map(printedText).join(' '));
    }),
    new Callable('strftime_now', (args, named) => {
      const [format] = bound('strftime_now', { parameters: ['format'], required: 1 }, args, named);
      return strftime(now(), printedText(format!));
    }),
    // Undefined names would be printed as nothing.
    ...['cycler', 'joiner', 'lipsum', 'self'].map((name) => new Callable(name, () => notSupported(name))),
    new Callable('range', (args) => range(args, budget)),
    new Callable('namespace', (args, named) => new Attributes('Namespace', entriesOf(args, named))),
    new Callable('dict', (args, named) => entriesOf(args, named)),
  ];
}

function notSupported(name: string): never {
  throw new TemplateError(`'${name}' is not supported`);
}

function range(args: readonly JinjaValue[], budget: Budget): number[] {
  if (args.length < 1 || args.length > 3)
    throw new TemplateError(`range expected 1 to 3 arguments, got ${args.length}`);
  const numbers = args.map((value) => {
    if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
    throw new TemplateError(`'${typeName(value)}' object cannot be interpreted as an integer`);
  });
  const [from, to, step = 1] = numbers.length === 1 ? [0, numbers[0]!] : (numbers as [number, number, number?]);
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const count = Math.max(0, Math.ceil((to - from) / step));
  budget.reserveRange(count);
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/** The entries of a dictionary or of pairs, and the named arguments. */
function entriesOf(args: readonly JinjaValue[], named: Named): Map<string, JinjaValue> {
  if (args.length > 1) throw new TemplateError(`expected at most 1 argument, got ${args.length}`);
  const entries = new Map<Key, JinjaValue>();
  const [source] = args;
  if (source instanceof Map) for (const [key, value] of source as ReadonlyMap<Key, JinjaValue>) entries.set(key, value);
  else if (source !== undefined) for (const pair of iterated(source)) entries.set(...pairOf(pair));
  for (const [key, value] of named) entries.set(key, value);
  return entries as Map<string, JinjaValue>;
}

function pairOf(pair: JinjaValue): [Key, JinjaValue] {
  const items = isList(pair) || pair instanceof Tuple ? iterated(pair) : [];
  if (items.length !== 2) throw new TemplateError('a dictionary is made of pairs');
  return [keyOf(items[0]!), items[1]!];
}
