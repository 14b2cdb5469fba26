import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { compileConstraint } from '../../../../src/core/constraint/constraint.js';
import type { JsonSchema } from '../../../../src/core/constraint/schema-facts.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { allows, allTexts, randomText, schemaMachine } from './support.js';

const ajv = () => new Ajv2020({ strict: false, validateFormats: false });

/** Schemas that are honoured. */
const SCHEMAS: readonly JsonSchema[] = [
  true,
  { type: 'null' },
  { type: 'boolean' },
  { type: 'integer' },
  { type: ['integer', 'null'] },
  { type: 'number' },
  { type: 'string' },
  { type: 'string', minLength: 2, maxLength: 4 },
  { type: 'string', pattern: '^[a-c]+$' },
  { type: 'string', pattern: '^x?b"\\d' },
  { type: 'string', enum: ['a', 'bc', 7] },
  { enum: [1, 'x', null, [1, { a: 2 }]] },
  { const: { a: [true] } },
  { type: 'integer', minimum: -12, maximum: 305 },
  { type: 'integer', exclusiveMinimum: 9, exclusiveMaximum: 11 },
  { type: 'integer', minimum: 0.5 },
  { type: 'number', minimum: -1.25, maximum: 3.5 },
  { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 0.05 },
  { type: 'number', minimum: 10 },
  { type: 'array', items: { type: 'integer' }, minItems: 1, maxItems: 3 },
  { type: 'array', prefixItems: [{ type: 'null' }, { type: 'boolean' }], items: false },
  { type: 'array', prefixItems: [{ type: 'null' }], items: { type: 'integer' }, maxItems: 2 },
  { type: 'array', maxItems: 0 },
  {
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'string' } },
    required: ['a'],
    additionalProperties: false,
  },
  { type: 'object', properties: { ab: { type: 'null' } }, additionalProperties: { type: 'integer' } },
  { type: 'object', properties: { a: false, b: { type: 'null' } }, additionalProperties: false },
  { type: 'object', required: ['x', 'y'], additionalProperties: { type: 'boolean' } },
  { anyOf: [{ type: 'integer' }, { type: 'string', maxLength: 1 }] },
  {
    type: 'object',
    properties: { a: { type: 'null' }, b: { type: 'null' } },
    additionalProperties: false,
    anyOf: [{ required: ['a'] }, { required: ['b'] }],
  },
  {
    oneOf: [
      { type: 'object', properties: { kind: { const: 'a' } }, required: ['kind'], additionalProperties: false },
      {
        type: 'object',
        properties: { kind: { const: 'b' }, n: { type: 'integer' } },
        required: ['kind'],
        additionalProperties: false,
      },
    ],
  },
  { allOf: [{ type: 'integer', minimum: 3 }, { maximum: 5 }] },
  {
    allOf: [
      { properties: { a: { minimum: 1 } } },
      { type: 'object', properties: { a: { type: 'integer', maximum: 2 } }, required: ['a'] },
    ],
  },
  {
    $ref: '#/$defs/tree',
    $defs: {
      tree: {
        type: 'object',
        properties: { left: { anyOf: [{ $ref: '#/$defs/tree' }, { type: 'null' }] } },
        required: ['left'],
        additionalProperties: false,
      },
    },
  },
  { type: 'array', items: { $ref: '#' }, maxItems: 2 },
  { $defs: { n: { type: 'integer' } }, $ref: '#/$defs/n', minimum: 7, maximum: 9 },
  { minLength: 1, minimum: 5, maxItems: 1 },
  { $id: 'https://example.com/root', $defs: { n: { type: 'integer' } }, $ref: '#/$defs/n' },
  { type: 'number', minimum: -3, exclusiveMaximum: 0 },
  { type: 'string', allOf: [{ format: 'date' }, { format: 'colour' }] },
];

describe('a constraint by a JSON schema', () => {
  it.each(SCHEMAS.map((schema) => [JSON.stringify(schema), schema] as const))(
    'allows only texts that satisfy it: %s',
    (_, schema) => {
      const validate = ajv().compile(schema as object);
      const machine = schemaMachine(schema);
      const texts = Array.from({ length: 60 }, (_, seed) => randomText(machine, seed)).filter((text) => text !== null);
      expect(texts.length).toBeGreaterThan(10);
      for (const text of texts) expect([text, validate(JSON.parse(text))]).toEqual([text, true]);
    },
  );

  it.each([
    [{ type: 'integer', minimum: -12, maximum: 30 }, ['-', '0', '1', '2', '3'], 3],
    [{ type: 'number', minimum: -1.2, exclusiveMaximum: 2 }, ['-', '0', '1', '2', '.'], 4],
    [{ type: 'array', items: { type: ['null', 'boolean'] }, maxItems: 2 }, ['[', ']', ',', 'null', 'true'], 5],
    [{ type: 'string', minLength: 1, maxLength: 2 }, ['"', 'a', 'é', '\\n', '\\\\', '\\"'], 4],
    [
      { type: 'object', properties: { a: { type: 'integer' }, b: true }, required: ['b'] },
      ['{', '}', ',', '"a":', '"b":', '1'],
      6,
    ],
    [{ anyOf: [{ const: 1 }, { type: 'array', items: { const: 1 } }] }, ['[', ']', ',', '1', '2'], 5],
  ] as const)('leaves no text out that satisfies it: %j', (schema, tokens, length) => {
    const validate = ajv().compile(schema);
    const expected = new Set<string>();
    const every = (text: string, left: number) => {
      if (isCanonical(text) && validate(JSON.parse(text))) expected.add(text);
      if (left > 0) for (const token of tokens) every(text + token, left - 1);
    };
    every('', length);
    expect(expected.size).toBeGreaterThan(2);
    const found = allTexts(schemaMachine(schema), tokens, length);
    expect([...expected].filter((text) => !found.has(text))).toEqual([]);
  });

  it('allows the blanks of documents on one line, and of indented ones', () => {
    const value = { a: [null, { b: [] }], c: { d: [1] } };
    const machine = schemaMachine({ type: 'object' });
    for (const indent of [undefined, 1, 2, 4, '\t']) {
      const text = JSON.stringify(value, null, indent);
      expect([text, allows(machine, text)]).toEqual([text, true]);
    }
    expect(allows(machine, '{"a": [null, {"b": []}], "c": {"d": [1]}}')).toBe(true);
    expect(allows(machine, '{ "a": [ null ] }')).toBe(true);
    expect(allows(machine, '{\n\n}')).toBe(false);
  });

  it('closes objects that list their properties where that is asked for', () => {
    const schema = { type: 'object', properties: { a: { type: 'null' } } };
    expect(allows(schemaMachine(schema, false), '{"a":null,"b":1}')).toBe(true);
    expect(allows(schemaMachine(schema, true), '{"a":null,"b":1}')).toBe(false);
    expect(allows(schemaMachine({ type: 'object' }, true), '{"b":{"c":1}}')).toBe(true);
  });

  it.each([
    [
      'date',
      ['2026-02-28', '2024-02-29', '2000-02-29', '0400-02-29'],
      ['2026-02-29', '1900-02-29', '2024-02-30', '2024-04-31'],
    ],
    [
      'date-time',
      ['2026-02-28T23:59:59Z', '2024-02-29T00:00:00.5+05:30'],
      ['2026-02-30T23:59:59Z', '2026-02-28T24:00:00Z'],
    ],
    [
      'email',
      ['Mara@Example.com', "o'neill+x@mail.example.org", 'a.b~c@d.e'],
      ['a..b@c.d', '.a@b.c', 'a@-b.c', 'a b@c.d', 'a@b'],
    ],
    ['colour', ['red', ''], []],
  ])('allows the texts of the format %s', (format, right, wrong) => {
    const machine = schemaMachine({ type: 'string', format });
    const allowed = (text: string) => allows(machine, JSON.stringify(text));
    expect(right.filter((text) => !allowed(text))).toEqual([]);
    expect(wrong.filter(allowed)).toEqual([]);
  });

  it.each([
    [{ exclusiveMaximum: 0 }, ['-0', '-0.0', '0', '-0.00'], ['-1', '-0.000001']],
    [{ exclusiveMinimum: 100 }, ['100.0000000000000001', '100.000000000000001'], ['100.000000000001', '101.5']],
    [{ exclusiveMaximum: 3 }, ['2.9999999999999999', '3.0'], ['2.99999999999999', '-7.25', '0.123456789012345']],
    [
      { exclusiveMinimum: -3, maximum: 1e14 },
      ['-2.9999999999999999', '-3.0'],
      ['-2.99999999999999', '99999999999999.5', '100000000000000'],
    ],
    [{ exclusiveMaximum: 1000 }, ['999.9999999999999999', '999.99999999999999'], ['999.999999999999', '-0']],
  ])('allows no number that parses to a bound that it excludes: %j', (bounds, wrong, right) => {
    const machine = schemaMachine({ type: 'number', ...bounds });
    expect(wrong.filter((text) => allows(machine, text))).toEqual([]);
    expect(right.filter((text) => !allows(machine, text))).toEqual([]);
  });

  it.each([
    [{ type: 'string', format: 'date', maxLength: 9 }, 'no value'],
    [{ type: 'string', format: 'date', minLength: 11 }, 'no value'],
    [{ type: 'string', format: 'date', pattern: '^x' }, 'no value'],
    [{ allOf: [{ type: 'string', format: 'date' }, { format: 'uuid' }] }, '^format'],
    [{ format: 'date', enum: ['x'] }, '^format'],
    [{ format: 'date', const: 'x' }, '^format'],
    [{ enum: [Number.POSITIVE_INFINITY] }, '^enum'],
    [{ const: { a: [Number.NEGATIVE_INFINITY] } }, '^const'],
    [{ type: 'number', minimum: Number.POSITIVE_INFINITY }, '^minimum'],
    [{ type: 'integer', exclusiveMaximum: Number.POSITIVE_INFINITY }, '^exclusiveMaximum'],
    [{ $defs: { a: { $id: 'a', $ref: '#/$defs/b', $defs: { b: true } }, b: false }, $ref: '#/$defs/a' }, '\\$id'],
    [{ $defs: { a: { $id: 'a', $defs: { b: { $ref: '#' } } } }, $ref: '#/$defs/a/$defs/b' }, '\\$id'],
    [{ type: 'array', items: { $id: 'a', $ref: '#' } }, '\\$id'],
    [{ not: {} }, 'not'],
    [{ type: 'object', patternProperties: { a: {} } }, 'patternProperties'],
    [{ type: 'array', uniqueItems: true }, 'uniqueItems'],
    [{ type: 'integer', multipleOf: 3 }, 'multipleOf'],
    [{ oneOf: [{ type: 'integer' }, { type: 'number' }] }, 'oneOf'],
    [{ $ref: 'https://example.com/x' }, '\\$ref'],
    [{ $ref: '#' }, '\\$ref'],
    [{ allOf: [{ $ref: '#' }] }, '\\$ref, allOf'],
    [{ type: 'string', pattern: '(?=a)' }, 'pattern'],
    [{ type: 'string', pattern: 'a', maxLength: 4_097 }, 'pattern: has too many'],
    [{ type: 'string', maxLength: 1e6 }, 'needs more than'],
    [{ type: 'number', minimum: 1e-9 }, 'minimum, maximum'],
    [{ type: 'colour' }, 'type'],
    [{ required: 'a' }, 'required'],
    [{ properties: [] }, 'properties'],
    [{ type: 'integer', minimum: 4, maximum: 3 }, 'no value'],
    [{ type: 'object', properties: { a: false }, required: ['a'] }, 'no value'],
    [{ $defs: { a: { type: 'array', items: { $ref: '#/$defs/a' }, minItems: 1 } }, $ref: '#/$defs/a' }, 'no value'],
    [{ properties: { a: { if: {} } } }, 'if'],
    [{ enum: ['a'], pattern: 'a' }, 'pattern'],
  ])('is refused by the name of what cannot be honoured: %j', (schema, message) => {
    expect(() => schemaMachine(schema as JsonSchema)).toThrow(InvalidRequest);
    expect(() => schemaMachine(schema as JsonSchema)).toThrow(new RegExp(message));
  });
});

function isCanonical(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    // Numbers such as -0, and escapes that need not be, have another form.
    return !/^-0(?![.])|\\\//.test(text) && value !== undefined;
  } catch {
    return false;
  }
}

describe('oneOf of many', () => {
  const names = Array.from({ length: 2_500 }, (_, i) => `n${i}`);

  it('values shares their states, and needs no comparison of each with each', () => {
    const machine = schemaMachine({ oneOf: names.map((name) => ({ const: name })) });
    expect([allows(machine, '"n2499"'), allows(machine, '"n2500"'), allows(machine, '"n"')]).toEqual([
      true,
      false,
      false,
    ]);
    const program = compileConstraint({
      type: 'json',
      schema: { oneOf: names.map((name) => ({ const: name })) },
      closed: false,
    });
    expect(program.length / 4).toBeLessThan(6_000);
  });

  it('objects are told apart by a property that all must have', () => {
    const option = (name: string) => ({ type: 'object', properties: { kind: { const: name } }, required: ['kind'] });
    const machine = schemaMachine({ oneOf: names.slice(0, 200).map(option) }, true);
    expect([allows(machine, '{"kind":"n199"}'), allows(machine, '{"kind":"n200"}')]).toEqual([true, false]);
    expect(() => schemaMachine({ oneOf: [option('a'), option('b'), option('a')] })).toThrow(/oneOf/);
  });

  it('equal values is refused, whatever the order of their keys', () => {
    expect(() => schemaMachine({ oneOf: [{ const: { a: 1, b: 2 } }, { const: { b: 2, a: 1 } }] })).toThrow(/oneOf/);
  });
});
