import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidRequest } from '../../../../src/errors.js';
import { allows, randomText, schemaMachine } from './support.js';

/** The schemas that Zod writes are honoured: with patterns beside formats and lengths, and bounds that no number reaches. */

const TYPES = {
  int: z.int(),
  'number().int().positive()': z.number().int().positive(),
  email: z.email(),
  uuid: z.uuid(),
  guid: z.guid(),
  'iso.date': z.iso.date(),
  'iso.datetime': z.iso.datetime(),
  'iso.datetime with offsets': z.iso.datetime({ offset: true }),
  'iso.time': z.iso.time(),
  ipv4: z.ipv4(),
  url: z.url(),
  nanoid: z.nanoid(),
  e164: z.e164(),
  'startsWith and max': z.string().startsWith('a').max(5),
  'regex, min and max': z
    .string()
    .regex(/^[a-z]+-\d+$/)
    .min(6)
    .max(9),
  'email of at most 20 characters': z.email().max(20),
  record: z.record(z.string(), z.number().max(9)),
};

describe('a schema of Zod', () => {
  it.each(Object.entries(TYPES))('is honoured: %s', (_, type) => {
    const machine = schemaMachine(z.toJSONSchema(type) as never);
    for (let seed = 1; seed <= 30; seed++) {
      const text = randomText(machine, seed);
      expect(type.safeParse(text === null ? null : JSON.parse(text)), String(text)).toMatchObject({ success: true });
    }
  });

  it('leaves no text out that has pattern, format and length', () => {
    const email = schemaMachine(z.toJSONSchema(z.email().max(12)) as never);
    expect(['"a.b@c.org"', '"a_b@c-d.org"'].filter((text) => !allows(email, text))).toEqual([]);
    const wrong = ['"a.b@c.org1"', '"a!b@c.org"', '"a.b@cdefg.org"', '"@c.org"', '"a.b@c"'];
    expect(wrong.filter((text) => allows(email, text))).toEqual([]);
    const word = schemaMachine({ type: 'string', pattern: 'b', minLength: 2, maxLength: 3 });
    const right = ['"ab"', '"ba"', '"bb"', '"abc"', '"b\\""', '"bé"'];
    expect(right.filter((text) => !allows(word, text))).toEqual([]);
    expect(['"b"', '"ac"', '"abcd"', '""'].filter((text) => allows(word, text))).toEqual([]);
  });

  it('that no text satisfies is refused, and one with too many states too', () => {
    const none = { type: 'string', format: 'date', maxLength: 9 } as const;
    expect(() => schemaMachine(none)).toThrow(/^no value/);
    const many = { type: 'string', pattern: '^(a|b|ab){200}$', maxLength: 300 } as const;
    expect(() => schemaMachine(many)).toThrow(InvalidRequest);
    expect(() => schemaMachine(many)).toThrow(/pattern: has too many states/);
    // Each of the optional parts leads to all behind it.
    const steps = { type: 'string', pattern: '^(a?){2000}$', maxLength: 4_000 } as const;
    expect(() => schemaMachine(steps)).toThrow(/pattern: has too many states/);
    const compared = { type: 'string', pattern: '^(a?){900}$', minLength: 1, format: 'hostname' } as const;
    expect(() => schemaMachine(compared)).toThrow(/pattern: has too many states/);
  });

  it('has its tuples in the form before the draft of 2020 honoured', () => {
    const items = [{ type: 'integer', minimum: 1, maximum: 2 }, { enum: ['a'] }] as const;
    const tuple = schemaMachine({ type: 'array', items, additionalItems: false, minItems: 2 });
    expect(allows(tuple, '[1,"a"]')).toBe(true);
    expect(allows(tuple, '[1,"a",1]')).toBe(false);
    const open = schemaMachine({ type: 'array', items, additionalItems: { type: 'null' } });
    expect(allows(open, '[1,"a",null]')).toBe(true);
    expect(allows(open, '[1,"a",1]')).toBe(false);
  });
});
