import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { except, utf8Sequences } from '../../../../src/core/constraint/char-set.js';
import { compileConstraint } from '../../../../src/core/constraint/constraint.js';
import { InvalidRequest } from '../../../../src/errors.js';
import { allows, allTexts, machineOf } from './support.js';

describe('a constraint by a regular expression', () => {
  it('allows the same texts as the expression does', () => {
    const expressions = [
      'a*b',
      '(a|b)+',
      'a{2,3}',
      '[^ab]',
      '[a-c]b?',
      '(?:ab|ba)*',
      'a|',
      '\\w\\.',
      '.c',
      'a{2,}?',
      '(?<x>a)b',
      '\\u0061c',
    ];
    for (const pattern of expressions) {
      const expected = new RegExp(`^(?:${pattern})$`, 'u');
      const texts = allTexts(machineOf({ type: 'regex', pattern }), ['a', 'b', 'c', '.', 'é'], 4);
      const all = allTexts(machineOf({ type: 'regex', pattern: '[abc.é]*' }), ['a', 'b', 'c', '.', 'é'], 4);
      expect([pattern, [...texts].sort()]).toEqual([pattern, [...all].filter((text) => expected.test(text)).sort()]);
    }
  });

  it('may have anchors at its ends', () => {
    expect(allows(machineOf({ type: 'regex', pattern: '^ab$' }), 'ab')).toBe(true);
    expect(allows(machineOf({ type: 'regex', pattern: 'a\\$' }), 'a$')).toBe(true);
  });

  it.each([
    'a\\1',
    '(?=a)b',
    '(?<!a)b',
    '\\bword',
    'a**',
    '(a',
    'a)',
    '[a',
    '[b-a]',
    '{2}a{3,1}',
    '\\',
    'a{9999}',
    'x^y',
    '\\p{L}',
  ])('is refused where it is not regular: %s', (pattern) => {
    expect(() => machineOf({ type: 'regex', pattern })).toThrow(InvalidRequest);
  });

  it('is refused where it takes too many states, and where nothing matches', () => {
    expect(() => machineOf({ type: 'regex', pattern: '(?:a{4000}|b{4000}){5}' })).toThrow(/states|edges/);
    expect(() => machineOf({ type: 'regex', pattern: '[^\\s\\S]' })).toThrow(/no text/);
  });

  it('takes the states of a part that is repeated often once', () => {
    const machine = machineOf({ type: 'regex', pattern: '(?:(?:ab|c){30}-){40}' });
    const part = `${'abc'.repeat(15)}-`;
    expect([39, 40, 41].map((count) => allows(machine, part.repeat(count)))).toEqual([false, true, false]);
    expect(compileConstraint({ type: 'regex', pattern: '(?:(?:ab|c){30}-){40}' }).length / 4).toBeLessThan(300);
  });

  it('splits characters into their bytes exactly', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0x10ffff }),
        fc.integer({ min: 0, max: 0x10ffff }),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        (a, b, text) => {
          const range = [Math.min(a, b), Math.max(a, b)] as const;
          const bytes = new TextEncoder().encode(text);
          const matching = (set: readonly (readonly [number, number])[]) =>
            utf8Sequences(set).filter(
              (sequence) =>
                sequence.length === bytes.length &&
                sequence.every(([first, last], i) => bytes[i]! >= first && bytes[i]! <= last),
            ).length;
          const inside = text.codePointAt(0)! >= range[0] && text.codePointAt(0)! <= range[1];
          expect(matching([range])).toBe(inside ? 1 : 0);
          expect(matching(except([range]))).toBe(inside ? 0 : 1);
        },
      ),
    );
  });
});

describe('a constraint by a choice', () => {
  it('allows its texts and no others', () => {
    const machine = machineOf({ type: 'choice', options: ['yes', 'yesterday', 'né'] });
    expect(['yes', 'yesterday', 'né', 'y', 'yester', 'no', ''].map((text) => allows(machine, text))).toEqual([
      ...[true, true, true],
      ...[false, false, false, false],
    ]);
  });
});
