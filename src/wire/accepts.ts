import type { z } from 'zod';

/**
 * A short way through the schemas of messages. Nearly all messages are right, and a schema of Zod takes a copy of each and collects what is wrong
 * with it. `accepts` only answers whether a value fits, at about a tenth of the cost.
 */

/** Whether a value fits. */
type Test = (value: unknown) => boolean;

interface Definition {
  readonly type: string;
  readonly check?: string;
  readonly checks?: readonly { readonly _zod: { readonly def: CheckDefinition } }[];
  readonly coerce?: boolean;
  readonly format?: string;
  readonly fn?: (value: unknown) => unknown;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly items?: readonly z.ZodType[];
  readonly rest?: z.ZodType | null;
  readonly options?: readonly z.ZodType[];
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly catchall?: z.ZodType;
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly values?: readonly unknown[];
}

interface CheckDefinition {
  readonly check: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly length?: number;
  readonly value?: unknown;
  readonly inclusive?: boolean;
  /** What `format: 'regex'` tests; other formats may test more. */
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly fn?: (value: unknown) => unknown;
}

/** By schema. Null for a schema that has something this file does not know. */
const tests = new WeakMap<z.ZodType, Test | null>();

/**
 * Whether the schema accepts the value as it is: `schema.parse` would give an equal one. False says nothing: ask the schema. It is false for every
 * value if the schema changes values, ignores fields, or has a part that is not known here.
 */
export function accepts<T>(schema: z.ZodType<T>, value: unknown): value is T {
  return testOf(schema)?.(value) ?? false;
}

function testOf(schema: z.ZodType): Test | null {
  let test = tests.get(schema);
  if (test === undefined) {
    // A recursive schema, such as a tree, finds null there and is left to Zod.
    tests.set(schema, null);
    test = compiled(schema);
    tests.set(schema, test);
  }
  return test;
}

function compiled(schema: z.ZodType): Test | null {
  const def = definitionOf(schema);
  const base = def.coerce ? null : baseOf(def);
  const checks = (def.checks ?? []).map(({ _zod }) => checkOf(_zod.def));
  const all = [base, ...checks];
  if (!all.every((test) => test !== null)) return null;
  const [first, second, third] = all as Test[];
  if (third !== undefined) return (value) => all.every((test) => test!(value));
  return second === undefined ? first! : (value) => first!(value) && second(value);
}

function definitionOf(schema: z.ZodType): Definition {
  return schema._zod.def as unknown as Definition;
}

function baseOf(def: Definition): Test | null {
  switch (def.type) {
    case 'string':
      return def.check === undefined ? (value) => typeof value === 'string' : null;
    case 'number':
      return numberOf(def);
    case 'boolean':
      return (value) => typeof value === 'boolean';
    case 'null':
      return (value) => value === null;
    case 'unknown':
      return () => true;
    case 'enum':
      return oneOf(Object.values(def.entries!));
    case 'literal':
      return oneOf(def.values!);
    case 'custom':
      return passes(def.fn);
    case 'readonly':
      return testOf(def.innerType!);
    case 'nullable':
      return orElse(testOf(def.innerType!), null);
    case 'optional':
      return orElse(testOf(def.innerType!), undefined);
    case 'array':
      return arrayOf(testOf(def.element!));
    case 'tuple':
      return def.rest ? null : tupleOf(def.items!.map(testOf));
    case 'union':
      return anyOf(def.options!.map(testOf));
    case 'object':
      return objectOf(def);
    default:
      return null;
  }
}

function numberOf({ check, format }: Definition): Test | null {
  if (check === undefined) return (value) => typeof value === 'number' && Number.isFinite(value);
  return format === 'safeint' ? Number.isSafeInteger : null;
}

function oneOf(values: readonly unknown[]): Test {
  return (value) => values.includes(value);
}

function passes(fn: ((value: unknown) => unknown) | undefined): Test | null {
  return fn === undefined ? null : (value) => fn(value) === true;
}

function orElse(test: Test | null, other: null | undefined): Test | null {
  return test && ((value) => value === other || test(value));
}

function arrayOf(test: Test | null): Test | null {
  return test && ((value) => Array.isArray(value) && value.every(test));
}

function tupleOf(items: readonly (Test | null)[]): Test | null {
  if (items.includes(null)) return null;
  return (value) => Array.isArray(value) && value.length === items.length && items.every((test, i) => test!(value[i]));
}

function anyOf(options: readonly (Test | null)[]): Test | null {
  return options.includes(null) ? null : (value) => options.some((test) => test!(value));
}

/** Only of objects without other fields than those of the shape: from others the schema would remove, or keep, what is left. */
function objectOf({ shape = {}, catchall }: Definition): Test | null {
  if (catchall === undefined || definitionOf(catchall).type !== 'never') return null;
  const fields = new Map<string, Test>();
  const isRequired = new Set<string>();
  for (const [key, schema] of Object.entries(shape)) {
    const test = testOf(schema);
    if (test === null) return null;
    fields.set(key, test);
    if (definitionOf(schema).type !== 'optional') isRequired.add(key);
  }
  return (value) => {
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
    const keys = Object.keys(value);
    let missing = isRequired.size;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!;
      const test = fields.get(key);
      if (test === undefined || !test((value as Readonly<Record<string, unknown>>)[key])) return false;
      if (isRequired.has(key)) missing--;
    }
    return missing === 0;
  };
}

function checkOf({
  check,
  minimum,
  maximum,
  length,
  value: bound,
  inclusive,
  format,
  pattern,
  fn,
}: CheckDefinition): Test | null {
  switch (check) {
    case 'min_length':
      return (value) => (value as { length: number }).length >= minimum!;
    case 'max_length':
      return (value) => (value as { length: number }).length <= maximum!;
    case 'length_equals':
      return (value) => (value as { length: number }).length === length;
    case 'greater_than':
      if (typeof bound !== 'number') return null;
      return inclusive ? (value) => (value as number) >= bound : (value) => (value as number) > bound;
    case 'less_than':
      if (typeof bound !== 'number') return null;
      return inclusive ? (value) => (value as number) <= bound : (value) => (value as number) < bound;
    case 'custom':
      return passes(fn);
    case 'string_format':
      return format === 'regex' && pattern && !pattern.global && !pattern.sticky
        ? (value) => pattern.test(value as string)
        : null;
    default:
      return null;
  }
}
