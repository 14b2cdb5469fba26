import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AnnouncementMessage } from '../../../src/protocol/announcement.js';
import { GenerateEvent, GenerateRequest } from '../../../src/protocol/generate.js';
import { accepts } from '../../../src/wire/accepts.js';

const schemas: readonly z.ZodType[] = [
  z.string(),
  z.string().min(1).max(3),
  z.string().length(2),
  z.string().regex(/^[ab]*$/),
  z.number(),
  z.number().gt(0),
  z.number().min(0).max(1),
  z.int(),
  z.int().min(1).max(3),
  z.boolean(),
  z.null(),
  z.unknown(),
  z.enum(['a', 'b']),
  z.literal('a'),
  z.literal([1, 'a', null]),
  z.custom<string>((value) => value === 'a'),
  z.string().refine((text) => text.length === 1),
  z.int().nullable(),
  z.array(z.int()).min(1).max(2),
  z.array(z.string().optional()),
  z.array(z.int()).readonly(),
  z.tuple([z.int(), z.string()]),
  z.union([z.int(), z.string()]),
  z.strictObject({}),
  z.strictObject({ a: z.int(), b: z.string().optional() }),
  z.strictObject({ a: z.strictObject({ b: z.int().nullable() }) }),
  z.strictObject({ a: z.unknown() }),
  z.strictObject({ a: z.int().optional() }).refine((value) => value.a !== 2),
  z.discriminatedUnion('a', [z.strictObject({ a: z.literal('a'), b: z.int() }), z.strictObject({ a: z.literal('b') })]),
];

/** Schemas whose result is not the value: only they themselves can say what it is. */
const changing: readonly z.ZodType[] = [
  z.object({ a: z.int() }),
  z.looseObject({ a: z.int() }),
  z.string().trim(),
  z.string().default('a'),
  z.string().transform((text) => text.length),
  z.coerce.number(),
  z.strictObject({ a: z.int().default(1) }),
  z.array(z.string().toLowerCase()),
];

const numbers = fc.oneof(fc.integer({ min: -1, max: 4 }), fc.double(), fc.constant(2 ** 53));
const scalars = fc.oneof(fc.constantFrom('', 'a', 'b', 'ab', 'abc', 'abcd', null, undefined, true), numbers);
const values = fc.oneof(
  scalars,
  fc.array(scalars, { maxLength: 3 }),
  fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.oneof(scalars, fc.record({ b: scalars }, { noNullPrototype: true })),
    { maxKeys: 3, noNullPrototype: true },
  ),
);

describe('accepts', () => {
  it.each(schemas.map((schema, i) => [i, schema] as const))('agrees with schema %i', (_, schema) => {
    fc.assert(
      fc.property(values, (value) => {
        const parsed = schema.safeParse(value);
        expect(accepts(schema, value)).toBe(parsed.success);
        if (parsed.success) expect(parsed.data).toEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(changing.map((schema, i) => [i, schema] as const))(
    'leaves schema %i, which changes values, alone',
    (_, schema) => {
      fc.assert(
        fc.property(values, (value) => {
          expect(accepts(schema, value)).toBe(false);
        }),
      );
    },
  );

  it('knows all parts of the messages that come most often', () => {
    expect(accepts(GenerateEvent, { type: 'tokens', ids: [1] })).toBe(true);
    expect(accepts(GenerateEvent, { type: 'tokens', ids: [1.5] })).toBe(false);
    const named = {
      id: 'w',
      generation: 1,
      incarnation: 'i',
      refutation: 0,
      pid: 1,
      host: 'h',
      fingerprint: 'a'.repeat(64),
    };
    const address = { hostId: 'h', unixPath: null, tcpHost: 'h', tcpPort: 1 };
    const load = { blocks: 0, blockBytes: 1, running: 0, waiting: 0, queuedTokens: 0, hitRate: 0, computeAgeMs: null };
    const announcement = {
      ...{
        ...named,
        ...load,
        address,
        state: 'serving',
        device: 'cpu',
        deviceReason: '',
        contextReason: '',
        trial: null,
      },
      budget: { device: 1, host: 0 },
      bytes: { device: 1, host: 0 },
      capacity: { contextTokens: 1, sequences: 1, waiting: 0 },
      rates: { computeMsPerToken: null, decodeMsPerStep: 1.5, fetchBytesPerMs: null },
      ...{ disk: 'none', holdingsSeq: 0 },
    };
    expect(accepts(AnnouncementMessage, announcement)).toBe(true);
    expect(accepts(AnnouncementMessage, { ...announcement, more: 1 })).toBe(false);
    expect(accepts(AnnouncementMessage, { ...announcement, pid: -1 })).toBe(false);
    expect(accepts(GenerateRequest, { requestId: 'r' })).toBe(false);
  });

  it('leaves schemas that have themselves as a part to Zod', () => {
    const Tree = z.strictObject({
      name: z.string(),
      get children(): z.ZodArray<typeof Tree> {
        return z.array(Tree);
      },
    });
    expect(accepts(Tree, { name: 'root', children: [] })).toBe(false);
    expect(accepts(z.strictObject({ tree: Tree.nullable() }), { tree: null })).toBe(false);
  });
});
