import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lookedUp } from '../../../src/core/prompt-lookup.js';

const continuation = (tokens: number[], most = 4) => [...lookedUp(Uint32Array.from(tokens), most)];

describe('looked up', () => {
  test('are the tokens that followed the same three tokens before', () => {
    expect(continuation([1, 2, 3, 7, 8, 9, 1, 2, 3])).toEqual([7, 8, 9, 1]);
    expect(continuation([1, 2, 3, 7, 8, 9, 1, 2, 3], 2)).toEqual([7, 8]);
  });

  test('is nothing where fewer than three tokens are the same, or none are asked for', () => {
    expect(continuation([5, 2, 3, 7, 8, 9, 1, 2, 3])).toEqual([]);
    expect(continuation([2, 3, 7, 2, 3])).toEqual([]);
    expect(continuation([1, 2, 3, 7, 1, 2, 3], 0)).toEqual([]);
    expect(continuation([1, 2, 3, 7, 1, 2, 3], -1)).toEqual([]);
    expect(continuation([])).toEqual([]);
    expect(continuation([1])).toEqual([]);
  });

  test('a longer match wins over a later one, and a later one over an equal one', () => {
    expect(continuation([0, 1, 2, 3, 7, 9, 1, 2, 3, 8, 0, 1, 2, 3], 1)).toEqual([7]);
    expect(continuation([1, 2, 3, 7, 9, 1, 2, 3, 8, 5, 1, 2, 3], 1)).toEqual([8]);
  });

  test('a run of one token goes on', () => {
    expect(continuation([4, 4, 4, 4, 4])).toEqual([4]);
  });

  test('property: it is a part of the tokens behind a copy of their end', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 60 }), fc.nat(8), (tokens, most) => {
        const found = continuation(tokens, most);
        expect(found.length).toBeLessThanOrEqual(most);
        if (found.length === 0) return;
        const text = `,${tokens.join(',')},`;
        expect(text).toContain(`,${[...tokens.slice(-3), ...found].join(',')},`);
      }),
    );
  });

  test('one token that is everywhere costs a bounded number of comparisons', () => {
    const tokens = Uint32Array.from({ length: 40_000 }, (_, i) => (i % 2 === 0 ? 0 : i));
    tokens[tokens.length - 1] = 0;
    expect(lookedUp(tokens, 4)).toHaveLength(0);
  });
});
