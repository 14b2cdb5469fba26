import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matches } from '../../../src/resp/glob.js';

const is = (pattern: string, key: string) => matches(Buffer.from(pattern), Buffer.from(key));

describe('a pattern of keys', () => {
  it.each([
    ['h?llo', 'hello', true],
    ['h?llo', 'hllo', false],
    ['h*llo', 'heeeello', true],
    ['h[ae]llo', 'hallo', true],
    ['h[ae]llo', 'hillo', false],
    ['h[^e]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-c]llo', 'hbllo', true],
    ['h[c-a]llo', 'hbllo', true],
    ['h\\*llo', 'h*llo', true],
    ['h\\*llo', 'hello', false],
    ['[\\]]', ']', true],
    ['[a', 'a', true],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*b*c', 'aXbXbc', true],
    ['a*b*c', 'aXbXb', false],
  ])('%s of %s: %s', (pattern, key, expected) => {
    expect(is(pattern, key)).toBe(expected);
  });

  it('agrees with a regular expression', () => {
    const piece = fc.constantFrom('a', 'b', '*', '?', '[ab]', '[^a]');
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 10 }),
        (pieces, key) => {
          const asRegular: Record<string, string> = { '*': '.*', '?': '.' };
          const regular = new RegExp(`^${pieces.map((each) => asRegular[each] ?? each).join('')}$`, 's');
          expect(is(pieces.join(''), key)).toBe(regular.test(key));
        },
      ),
    );
  });

  it('takes no longer than the product of both lengths', () => {
    const startMs = performance.now();
    expect(is('*a'.repeat(500), `${'a'.repeat(1023)}b`)).toBe(false);
    expect(is(`${'a*'.repeat(300)}b`, 'a'.repeat(1024))).toBe(false);
    expect(performance.now() - startMs).toBeLessThan(1_000);
  });
});
