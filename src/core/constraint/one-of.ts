import { InvalidRequest } from '../../errors.js';
import { sameValue } from './same-value.js';
import { type Deref, type Facts, factsOf, type JsonSchema, type JsonType, propertyOf, TYPES } from './schema-facts.js';

/** Whether at most one of the schemas of a `oneOf` can hold. */

/** Throws unless it is plain that no value can satisfy two options of `oneOf`. */
export function checkDisjoint(options: readonly JsonSchema[], rest: readonly JsonSchema[], deref: Deref): void {
  if (
    apart(
      options.map((option) => [option, ...rest]),
      0,
      deref,
    )
  )
    return;
  for (const [i, a] of options.entries()) {
    for (const b of options.slice(i + 1)) {
      if (disjoint([a, ...rest], [b, ...rest], 0, deref)) continue;
      throw new InvalidRequest(
        'oneOf: a value may satisfy several of the schemas; use anyOf, or a const that tells them apart',
      );
    }
  }
}

/** Whether these are all distinguished by lists of values, of their own or of a required property: true for most schemas, and quickly checked. */
function apart(options: readonly (readonly JsonSchema[])[], depth: number, deref: Deref): boolean {
  const facts = options.map((schemas) => factsOf(schemas, deref)).filter((one) => one !== null);
  if (facts.every(({ values }) => values !== null)) {
    const lists = facts.map(({ values }) => new Set(values!.map(canonical)));
    const all = new Set(lists.flatMap((list) => [...list]));
    return all.size === lists.reduce((sum, list) => sum + list.size, 0);
  }
  if (depth >= 3 || !facts.every(({ types }) => types.size === 1 && types.has('object'))) return false;
  const shared = [...facts[0]!.required].filter((name) => facts.every(({ required }) => required.has(name)));
  return shared.some((name) =>
    apart(
      facts.map((one) => propertyOf(one, name)),
      depth + 1,
      deref,
    ),
  );
}

function disjoint(left: readonly JsonSchema[], right: readonly JsonSchema[], depth: number, deref: Deref): boolean {
  const [a, b] = [left, right].map((schemas) => factsOf(schemas, deref));
  if (a === null || b === null || a === undefined || b === undefined) return true;
  const types = [...a.types].filter((type) => b.types.has(type) && holds(a, type) && holds(b, type));
  if (types.length === 0) return true;
  if (a.values !== null && b.values !== null)
    return !a.values.some((one) => b.values!.some((other) => sameValue(one, other)));
  if (types.length > 1 || types[0] !== 'object' || depth >= 3) return false;
  const both = [...a.required].filter((name) => b.required.has(name));
  return both.some((name) => disjoint(propertyOf(a, name), propertyOf(b, name), depth + 1, deref));
}

/** A text that equal JSON values share, and no others. */
function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`);
  return `{${entries.sort().join()}}`;
}

/** Whether the listed values have this type, if values are listed. */
function holds({ values }: Facts, type: JsonType): boolean {
  return values === null || values.some((value) => typeOf(value) === type);
}

function typeOf(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return TYPES.find((type) => type === typeof value) ?? 'object';
}
