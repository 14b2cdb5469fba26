import { InvalidRequest } from '../../errors.js';
import type { NumberBound } from './json-numbers.js';
import { sameValue } from './same-value.js';
import { FORMATS, REFUSED_FORMATS } from './string-formats.js';

/** The combined demands of several JSON Schemas on a value. */

export type JsonSchema = boolean | Readonly<Record<string, unknown>>;

export const TYPES = ['null', 'boolean', 'string', 'number', 'array', 'object'] as const;
export type JsonType = (typeof TYPES)[number];

interface ObjectFacts {
  readonly properties: Readonly<Record<string, JsonSchema>>;
  /** Null if the schema says nothing. */
  readonly additional: JsonSchema | null;
}

interface ArrayFacts {
  readonly prefix: readonly JsonSchema[];
  readonly items: JsonSchema;
}

export interface Facts {
  types: ReadonlySet<JsonType>;
  /** Whether numbers must be integers. */
  integer: boolean;
  /** The values that are allowed; null for no list. */
  values: readonly unknown[] | null;
  minLength: number;
  maxLength: number;
  pattern: string | null;
  /** One that is honoured. */
  format: string | null;
  low: NumberBound | null;
  high: NumberBound | null;
  required: ReadonlySet<string>;
  objects: readonly ObjectFacts[];
  arrays: readonly ArrayFacts[];
  minItems: number;
  maxItems: number;
  /** Of each list, one schema must hold. */
  choices: readonly { readonly keyword: 'anyOf' | 'oneOf'; readonly options: readonly JsonSchema[] }[];
}

const NO_FACTS: Facts = {
  types: new Set(TYPES),
  integer: false,
  values: null,
  minLength: 0,
  maxLength: Number.POSITIVE_INFINITY,
  pattern: null,
  format: null,
  low: null,
  high: null,
  required: new Set(),
  objects: [],
  arrays: [],
  minItems: 0,
  maxItems: Number.POSITIVE_INFINITY,
  choices: [],
};

/** Keywords that restrict values and cannot be honoured, with the values that restrict nothing. */
const REFUSED: Readonly<Record<string, readonly unknown[]>> = {
  // Without `if`, `then` and `else` mean nothing.
  ...{ not: [], if: [], patternProperties: [{}], propertyNames: [true, {}, { type: 'string' }], minProperties: [0] },
  ...{ maxProperties: [], dependentRequired: [{}], dependentSchemas: [{}], dependencies: [{}] },
  ...{
    unevaluatedProperties: [true, {}],
    unevaluatedItems: [true, {}],
    contains: [],
    minContains: [],
    maxContains: [],
  },
  // A schema with its own address changes what references within it mean. That of the whole schema is taken away before.
  $id: [],
  ...{ uniqueItems: [false], multipleOf: [], $dynamicRef: [], $recursiveRef: [] },
};

/** Limit on the schemas that one value must satisfy. */
const PARTS = 256;

/** Finds what `$ref` names. */
export type Deref = (ref: string) => JsonSchema;

/**
 * The facts of a value that all of `schemas` must accept; null if no value can.
 * @throws InvalidRequest that names a keyword that cannot be honoured
 */
export function factsOf(schemas: readonly JsonSchema[], deref: Deref): Facts | null {
  const facts: Facts = { ...NO_FACTS };
  const open = [...schemas];
  for (let count = 0; open.length > 0; count++) {
    if (count >= PARTS) throw new InvalidRequest(`$ref, allOf: more than ${PARTS} schemas for one value; use fewer`);
    const schema = open.shift()!;
    if (schema === true) continue;
    if (schema === false) return null;
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
      throw new InvalidRequest('has something in place of a schema; a schema is an object or a boolean');
    checkKeywords(schema);
    if (schema.$ref !== undefined) open.push(deref(text('$ref', schema.$ref)));
    if (schema.allOf !== undefined) open.push(...list('allOf', schema.allOf));
    add(facts, schema);
  }
  return facts;
}

/** The schemas that a property must satisfy. */
export function propertyOf({ objects }: Facts, name: string): JsonSchema[] {
  return objects.map(({ properties, additional }) =>
    Object.hasOwn(properties, name) ? properties[name]! : (additional ?? true),
  );
}

/** Whether a schema only names another one. */
export function isPlainRef(schema: JsonSchema): schema is { readonly $ref: string } {
  if (typeof schema !== 'object' || typeof schema.$ref !== 'string') return false;
  return Object.keys(schema).every((keyword) => keyword === '$ref' || ANNOTATIONS.has(keyword));
}

const ANNOTATIONS: ReadonlySet<string> = new Set(
  '$schema $comment $defs definitions title description default examples deprecated readOnly writeOnly'.split(' '),
);

function checkKeywords(schema: Readonly<Record<string, unknown>>): void {
  for (const [keyword, value] of Object.entries(schema)) {
    const neutral = Object.hasOwn(REFUSED, keyword) ? REFUSED[keyword]! : null;
    if (neutral === null || neutral.some((other) => sameValue(other, value))) continue;
    throw new InvalidRequest(`${keyword}: cannot be honoured; leave it out, and check the answer yourself`);
  }
}

function add(facts: Facts, schema: Readonly<Record<string, unknown>>): void {
  if (schema.type !== undefined) addTypes(facts, schema.type);
  if (schema.const !== undefined) addValues(facts, 'const', [schema.const]);
  if (schema.enum !== undefined) addValues(facts, 'enum', list('enum', schema.enum));
  addStringFacts(facts, schema);
  addNumberFacts(facts, schema);
  addObjectFacts(facts, schema);
  addArrayFacts(facts, schema);
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    if (schema[keyword] === undefined) continue;
    facts.choices = [...facts.choices, { keyword, options: list(keyword, schema[keyword]) }];
  }
}

function addTypes(facts: Facts, type: unknown): void {
  const names = Array.isArray(type) ? type.map((one) => text('type', one)) : [text('type', type)];
  const wrong = names.find((name) => name !== 'integer' && !TYPES.includes(name as JsonType));
  if (wrong !== undefined)
    throw new InvalidRequest(
      `type: '${wrong}' is not known; must be null, boolean, integer, number, string, array or object`,
    );
  if (names.includes('integer') && !names.includes('number')) facts.integer = true;
  const allowed = new Set(names.map((name) => (name === 'integer' ? 'number' : name)));
  facts.types = new Set([...facts.types].filter((known) => allowed.has(known)));
}

function addValues(facts: Facts, keyword: string, values: readonly unknown[]): void {
  if (!values.every(isJson)) throw new InvalidRequest(`${keyword}: has a number that is too large`);
  const { values: known } = facts;
  facts.values = known === null ? values : known.filter((one) => values.some((other) => sameValue(one, other)));
}

/** Whether a parsed value has no number that is too large for a double. */
function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isJson);
}

function addStringFacts(
  facts: Facts,
  { minLength, maxLength, pattern, format }: Readonly<Record<string, unknown>>,
): void {
  if (minLength !== undefined) facts.minLength = Math.max(facts.minLength, count('minLength', minLength));
  if (maxLength !== undefined) facts.maxLength = Math.min(facts.maxLength, count('maxLength', maxLength));
  if (format !== undefined) addFormat(facts, text('format', format));
  if (pattern === undefined) return;
  if (facts.pattern !== null && facts.pattern !== pattern)
    throw new InvalidRequest('pattern: two patterns for one text cannot be honoured; write one');
  facts.pattern = text('pattern', pattern);
}

/** Formats that are not known are annotations, as the specification has it. */
function addFormat(facts: Facts, format: string): void {
  if (REFUSED_FORMATS.has(format))
    throw new InvalidRequest(`format: '${format}' cannot be honoured; leave it out, and check the answer yourself`);
  if (!Object.hasOwn(FORMATS, format)) return;
  if (facts.format !== null && facts.format !== format)
    throw new InvalidRequest('format: two formats for one text cannot be honoured; write one');
  facts.format = format;
}

function addNumberFacts(facts: Facts, schema: Readonly<Record<string, unknown>>): void {
  const bounds = (keyword: string, exclusive: boolean): NumberBound[] =>
    schema[keyword] === undefined ? [] : [{ value: number(keyword, schema[keyword]), exclusive }];
  for (const bound of [...bounds('minimum', false), ...bounds('exclusiveMinimum', true)]) addLow(facts, bound);
  for (const bound of [...bounds('maximum', false), ...bounds('exclusiveMaximum', true)]) addHigh(facts, bound);
  // OpenAPI's formats of numbers. Integers have fewer digits than those of 64 bits.
  const { format } = schema;
  if (format === 'int32' || format === 'int64') facts.integer = true;
  if (format !== 'int32') return;
  addLow(facts, { value: -(2 ** 31), exclusive: false });
  addHigh(facts, { value: 2 ** 31 - 1, exclusive: false });
}

function addLow(facts: Facts, bound: NumberBound): void {
  if (facts.low === null || binds(bound, facts.low, 1)) facts.low = bound;
}

function addHigh(facts: Facts, bound: NumberBound): void {
  if (facts.high === null || binds(bound, facts.high, -1)) facts.high = bound;
}

/** Whether a bound excludes more than another; `sign` is 1 for lower bounds. */
function binds(bound: NumberBound, other: NumberBound, sign: 1 | -1): boolean {
  if (bound.value === other.value) return bound.exclusive;
  return sign * (bound.value - other.value) > 0;
}

function addObjectFacts(facts: Facts, schema: Readonly<Record<string, unknown>>): void {
  const { properties, required, additionalProperties } = schema;
  if (required !== undefined) {
    const names = list('required', required).map((name) => text('required', name));
    facts.required = new Set([...facts.required, ...names]);
  }
  if (properties === undefined && additionalProperties === undefined) return;
  if (properties !== undefined && (typeof properties !== 'object' || properties === null || Array.isArray(properties)))
    throw new InvalidRequest('properties: must be an object');
  const additional = (additionalProperties as JsonSchema | undefined) ?? null;
  const known = (properties ?? {}) as Readonly<Record<string, JsonSchema>>;
  facts.objects = [...facts.objects, { properties: known, additional }];
}

function addArrayFacts(facts: Facts, schema: Readonly<Record<string, unknown>>): void {
  const { items, prefixItems, additionalItems, minItems, maxItems } = schema;
  if (minItems !== undefined) facts.minItems = Math.max(facts.minItems, count('minItems', minItems));
  if (maxItems !== undefined) facts.maxItems = Math.min(facts.maxItems, count('maxItems', maxItems));
  if (items === undefined && prefixItems === undefined) return;
  // Before the draft of 2020, `items` could be a list, and `additionalItems` was about the items behind it; without such a list it means nothing.
  const prefix = prefixItems === undefined && Array.isArray(items) ? items : (prefixItems ?? []);
  const rest = Array.isArray(items) ? (additionalItems ?? true) : (items ?? true);
  facts.arrays = [...facts.arrays, { prefix: list('prefixItems', prefix), items: rest as JsonSchema }];
}

function list(keyword: string, value: unknown): JsonSchema[] {
  if (!Array.isArray(value)) throw new InvalidRequest(`${keyword}: must be an array`);
  return value as JsonSchema[];
}

function text(keyword: string, value: unknown): string {
  if (typeof value !== 'string') throw new InvalidRequest(`${keyword}: must be a string`);
  return value;
}

function number(keyword: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new InvalidRequest(`${keyword}: must be a number, and not too large`);
  return value;
}

function count(keyword: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new InvalidRequest(`${keyword}: must be an integer of at least 0`);
  return value;
}
