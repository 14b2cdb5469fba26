import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { literalPattern } from '../../src/literal-pattern.js';

const ASCII = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');

describe('the pattern of a text', () => {
  it.each(['', 'u', 'v'])('matches the text and nothing else, with the flags "%s"', (flags) => {
    expect(new RegExp(`^(?:${literalPattern(ASCII)})$`, flags).test(ASCII)).toBe(true);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (text, other) => {
        const pattern = new RegExp(`^(?:${literalPattern(text)})$`, flags);
        expect(pattern.test(text)).toBe(true);
        expect(pattern.test(other)).toBe(text === other);
      }),
    );
  });
});
