import fc from 'fast-check';

/** Requests that fit the OpenAPI document, or nearly. */

type Schema = Readonly<Record<string, unknown>>;

/** A number that no double holds: `bodyText` writes it in place of this text. */
const HUGE = '\u0000huge';

const junk = fc.constantFrom<unknown>(
  ...[
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    -0.1,
    '',
    ' ',
    'a',
    '\u0000',
    '\ud800',
    '\u{1f432}',
    'é'.repeat(300),
  ],
  ...[[], {}, [[]], [null], { a: 1 }, JSON.parse('{"__proto__":{"a":1}}'), { constructor: 1, toString: 2 }, HUGE],
  ...['9'.repeat(400), Array(70).fill('x'), nested(600)],
);

function nested(depth: number): unknown {
  return depth === 0 ? [] : [nested(depth - 1)];
}

/** The text of a body. */
export function bodyText(body: unknown): string {
  return JSON.stringify(body).replaceAll(JSON.stringify(HUGE), '1e999');
}

/** Values of a schema of the document: of its types, lengths and ranges; optional properties are mostly left out. */
export function arbitraryOf(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  const options = (schema.anyOf ?? schema.oneOf) as Schema[] | undefined;
  if (options !== undefined) return fc.oneof(...options.map((option) => arbitraryOf(option, depth)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (Array.isArray(schema.enum)) return fc.constantFrom<unknown>(...schema.enum);
  if (Array.isArray(schema.type))
    return fc.oneof(...schema.type.map((type) => arbitraryOf({ ...schema, type }, depth)));
  switch (schema.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return numberOf(schema);
    case 'string':
      return textOf(schema);
    case 'array':
      return arrayOf(schema, depth);
    case 'object':
      return objectOf(schema, depth);
    default:
      return junk;
  }
}

function numberOf({ type, minimum, maximum, exclusiveMinimum }: Schema): fc.Arbitrary<number> {
  const low = Number(minimum ?? exclusiveMinimum ?? -2);
  const high = Number(maximum ?? Math.max(low, 0) + 70);
  // The ends of a range are where a checker is wrong.
  const ends = fc.constantFrom(low, high);
  if (type === 'integer') return fc.oneof(ends, fc.integer({ min: Math.ceil(low), max: Math.min(high, low + 10) }));
  return fc.oneof(ends, fc.double({ min: low, max: high, noNaN: true }));
}

function textOf({ minLength = 0, maxLength = 40 }: Schema): fc.Arbitrary<string> {
  const bounds = { minLength: Number(minLength), maxLength: Math.min(Number(maxLength), Number(minLength) + 40) };
  return fc.oneof(
    fc.string(bounds),
    fc.string({ ...bounds, unit: 'grapheme' }),
    fc.constantFrom('the', 'w1', 'recall'),
  );
}

function arrayOf({ items, prefixItems, minItems = 0 }: Schema, depth: number): fc.Arbitrary<unknown> {
  if (Array.isArray(prefixItems)) return fc.tuple(...prefixItems.map((item: Schema) => arbitraryOf(item, depth + 1)));
  const most = depth > 3 ? Number(minItems) : Math.max(2, Number(minItems));
  return fc.array(arbitraryOf((items as Schema | undefined) ?? {}, depth + 1), {
    minLength: Number(minItems),
    maxLength: most,
  });
}

function objectOf(
  { properties = {}, required = [], additionalProperties }: Schema,
  depth: number,
): fc.Arbitrary<unknown> {
  const known = properties as Readonly<Record<string, Schema>>;
  const needed = required as readonly string[];
  const optional = Object.keys(known).filter((name) => !needed.includes(name));
  const chosen = fc.subarray(optional, { maxLength: Math.min(optional.length, depth > 2 ? 0 : 3) });
  const listed = chosen.chain((names) =>
    fc.record(
      Object.fromEntries([...needed, ...names].map((name) => [name, arbitraryOf(known[name] ?? {}, depth + 1)])),
    ),
  );
  if (typeof additionalProperties !== 'object' || additionalProperties === null) return listed;
  const others = fc.dictionary(fc.string(), arbitraryOf(additionalProperties as Schema, depth + 1), { maxKeys: 2 });
  return fc.tuple(listed, others).map(([one, other]) => ({ ...other, ...one }));
}

/** `value` with one part replaced by something else, left out, or added. */
export function mutated(value: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(value);
  return fc.tuple(fc.nat(), fc.constantFrom('replace', 'drop', 'add'), junk).map(([index, how, other]) => {
    const place = places[index % places.length]!;
    return changed(value, place, how as 'replace', other);
  });
}

function placesOf(value: unknown): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [[]];
  return [
    [],
    ...Object.entries(value)
      .slice(0, 8)
      .flatMap(([key, inner]) =>
        placesOf(inner)
          .slice(0, 30)
          .map((rest) => [key, ...rest]),
      ),
  ];
}

function changed(value: unknown, place: readonly string[], how: 'replace' | 'drop' | 'add', other: unknown): unknown {
  const [key, ...rest] = place;
  const isObject = typeof value === 'object' && value !== null;
  if (key === undefined)
    return how === 'add' && isObject && !Array.isArray(value) ? { ...value, unknown_field: other } : other;
  const copy = structuredClone(value) as Record<string, unknown>;
  if (rest.length === 0 && how === 'drop') delete copy[key];
  else copy[key] = changed(copy[key], rest, how, other);
  return copy;
}
