import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileJsonSchema } from '../../../../src/core/constraint/json-schema.js';
import { ConstraintMachine } from '../../../../src/core/constraint/machine.js';
import type { JsonSchema } from '../../../../src/core/constraint/schema-facts.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { allows, randomText } from './support.js';

/** Names that are easily mistaken: one of a member of texts, a prefix of another one, and some that JSON escapes. */
const NAMES = ['a', 'ab', 'b', '', 'é', 'q"', 'length', '0'];
const name = fc.constantFrom(...NAMES);
const scalar = fc.constantFrom<unknown>(
  null,
  true,
  false,
  0,
  1,
  -1,
  1.5,
  10,
  1e14,
  '',
  'a',
  'ab',
  'é',
  '\u{1f432}',
  'x"',
);

const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    { weight: 4, arbitrary: scalar },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 3 }) },
    { weight: 2, arbitrary: objectOf(tie('value'), 3) },
  ),
})).value;

function objectOf<T>(values: fc.Arbitrary<T>, most: number): fc.Arbitrary<Record<string, T>> {
  const entries = fc.uniqueArray(fc.tuple(name, values), { maxLength: most, selector: ([key]) => key });
  return entries.map((list) => Object.fromEntries(list));
}

const small = fc.integer({ min: 0, max: 3 });
const bound = fc.constantFrom(-2, -1, 0, 0.5, 1, 1.25, 3, 10);

const type = fc.constantFrom('null', 'boolean', 'integer', 'number', 'string', 'array', 'object');

/** Keywords that affect each other. */
const GROUPS = [
  ['properties', 'required', 'additionalProperties'],
  ['items', 'prefixItems', 'minItems', 'maxItems'],
  ['minLength', 'maxLength', 'type'],
  ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'type'],
  ['enum', 'const', 'type', 'pattern'],
  ['anyOf', 'oneOf', 'allOf', '$ref', 'title'],
] as const satisfies Keyword[][];

type Keyword =
  | 'type'
  | 'enum'
  | 'const'
  | 'properties'
  | 'required'
  | 'additionalProperties'
  | 'items'
  | 'prefixItems'
  | 'minItems'
  | 'maxItems'
  | 'minLength'
  | 'maxLength'
  | 'pattern'
  | 'minimum'
  | 'maximum'
  | 'exclusiveMinimum'
  | 'exclusiveMaximum'
  | 'anyOf'
  | 'oneOf'
  | 'allOf'
  | '$ref'
  | 'title';

const schema = fc.letrec<{ schema: JsonSchema }>((tie) => {
  const some = tie('schema');
  const several = fc.array(some, { minLength: 1, maxLength: 3 });
  const keywords: Record<Keyword, fc.Arbitrary<unknown>> = {
    type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 3 })),
    enum: fc.array(value, { minLength: 1, maxLength: 3 }),
    const: value,
    properties: objectOf(some, 3),
    // Ajv does not notice that a property without a name is missing.
    required: fc.uniqueArray(fc.constantFrom(...NAMES.filter((one) => one !== '')), { maxLength: 2 }),
    additionalProperties: some,
    items: some,
    prefixItems: several,
    minItems: small,
    maxItems: small,
    minLength: small,
    maxLength: small,
    pattern: fc.constantFrom('^a', 'b$', '^[ab]*$', 'a|^b', '[^a]', '\\d'),
    minimum: bound,
    maximum: bound,
    exclusiveMinimum: bound,
    exclusiveMaximum: bound,
    anyOf: several,
    oneOf: several,
    allOf: several,
    $ref: fc.constantFrom('#', '#/$defs/one', '#/$defs/two'),
    title: fc.constant('an annotation'),
  };
  return {
    schema: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      { weight: 1, arbitrary: fc.constantFrom<JsonSchema>(true, false, {}) },
      { weight: 2, arbitrary: type.map((one) => ({ type: one })) },
      ...GROUPS.map((group) => ({
        weight: 2,
        arbitrary: fc
          .tuple(
            fc.subarray(group, { minLength: 1 }),
            fc.subarray(Object.keys(keywords) as Keyword[], { maxLength: 1 }),
          )
          .chain(([most, one]) =>
            fc.record(
              Object.fromEntries([...new Set([...most, ...one])].map((keyword) => [keyword, keywords[keyword]])),
            ),
          ),
      })),
    ),
  };
}).schema;

/** A schema with two definitions that its references name. */
const document = fc
  .tuple(schema, schema, schema)
  .map(([root, one, two]): JsonSchema => (typeof root === 'boolean' ? root : { ...root, $defs: { one, two } }));

/** The machine of a schema; null if it is refused. */
function machineOrNull(from: JsonSchema): ConstraintMachine | null {
  try {
    return new ConstraintMachine(compileJsonSchema(from, { closed: false }), 2 ** 22);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidRequest);
    return null;
  }
}

/** Says whether a value satisfies a schema; null where Ajv follows references for ever. */
function judgeOf(from: JsonSchema): (one: unknown) => boolean | null {
  const validate = new Ajv2020({ strict: false, ownProperties: true }).compile(from as object);
  return (one) => {
    try {
      return validate(one);
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  };
}

/** The texts of a value with its members in all orders. */
function textsOf(of: unknown): string[] {
  if (typeof of !== 'object' || of === null) return [JSON.stringify(of)];
  if (Array.isArray(of)) return combined(of.map(textsOf)).map((inner) => `[${inner}]`);
  return orders(Object.entries(of)).flatMap((entries) =>
    combined(entries.map(([key, inner]) => textsOf(inner).map((text) => `${JSON.stringify(key)}:${text}`))).map(
      (inner) => `{${inner}}`,
    ),
  );
}

function combined(lists: readonly string[][]): string[] {
  return lists
    .reduce<string[][]>((all, list) => all.flatMap((one) => list.map((text) => [...one, text])), [[]])
    .map((parts) => parts.join());
}

function orders<T>(list: readonly T[]): T[][] {
  if (list.length === 0) return [[]];
  return list.flatMap((first, i) => orders(list.toSpliced(i, 1)).map((rest) => [first, ...rest]));
}

describe('a constraint by a random JSON schema', () => {
  it('allows exactly the values that satisfy it', () => {
    let compiled = 0;
    fc.assert(
      fc.property(document, fc.array(value, { minLength: 10, maxLength: 20 }), (from, values) => {
        const machine = machineOrNull(from);
        if (machine === null) return;
        compiled++;
        const validate = judgeOf(from);
        for (let seed = 0; seed < 8; seed++) {
          const text = randomText(machine, seed);
          if (text !== null) expect([text, validate(JSON.parse(text)) ?? true]).toEqual([text, true]);
        }
        for (const one of values) {
          const allowed = textsOf(one).some((text) => allows(machine, text));
          expect([one, allowed]).toEqual([one, validate(one) ?? allowed]);
        }
      }),
      // The seed keeps the time of the test the same: some schemas take long to compile.
      { numRuns: 80, seed: 1 },
    );
    expect(compiled).toBeGreaterThan(40);
  });
});
