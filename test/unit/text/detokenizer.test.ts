import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detokenizer } from '../../../src/text/detokenizer.js';
import type { TokenDecoder } from '../../../src/text/token-decoder.js';
import { ByteDecoder, SPECIAL_ID, VOCABULARY } from './byte-decoder.js';

const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
const anyIds = fc.array(
  fc.oneof(
    fc.nat({ max: VOCABULARY - 1 }).map((id) => [id]),
    fc.string({ unit: 'grapheme', maxLength: 4 }).map(bytesOf),
    fc.constantFrom([0xf0, 0x9f], [0x80, 0x80, 0x80], [0xef, 0xbf, 0xbd], [SPECIAL_ID]),
  ),
  { maxLength: 60 },
);

describe('Detokenizer', () => {
  it('emits in total the text of all ids decoded at once', () => {
    fc.assert(
      fc.property(anyIds, fc.boolean(), (groups, skipSpecialTokens) => {
        const ids = groups.flat();
        const decoder = new ByteDecoder();
        const detokenizer = new Detokenizer(decoder, { skipSpecialTokens });
        const text = ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
        expect(text).toBe(decoder.decode(ids, { skipSpecialTokens }));
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps the space before a word even if the decoder drops it at the beginning of a text', () => {
    const words = ['▁the', '▁amber', '▁key', 's', '▁'];
    const decoder: TokenDecoder = {
      specialIds: new Set(),
      decode: (ids) =>
        ids
          .map((id) => words[id])
          .join('')
          .replaceAll('▁', ' ')
          .replace(/^ /, ''),
    };
    fc.assert(
      fc.property(fc.array(fc.nat({ max: words.length - 1 }), { maxLength: 40 }), (ids) => {
        const detokenizer = new Detokenizer(decoder);
        const text = ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
        expect(text).toBe(decoder.decode(ids, { skipSpecialTokens: true }));
      }),
    );
  });

  it('continues the text of the tokens before', () => {
    const words = ['▁the', '▁amber', '▁key', 's', '▁', '<s>'];
    const decoder: TokenDecoder = {
      specialIds: new Set([5]),
      decode: (ids) =>
        ids
          .filter((id) => id !== 5)
          .map((id) => words[id])
          .join('')
          .replaceAll('▁', ' ')
          .replace(/^ /, ''),
    };
    const ids = fc.array(fc.nat({ max: words.length - 1 }), { maxLength: 20 });
    fc.assert(
      fc.property(ids, ids, (before, ids) => {
        const detokenizer = new Detokenizer(decoder, { after: before });
        const text = ids.map((id) => detokenizer.push(id)).join('') + detokenizer.flush();
        const whole = decoder.decode([...before, ...ids], { skipSpecialTokens: true });
        expect(text).toBe(whole.slice(decoder.decode(before, { skipSpecialTokens: true }).length));
      }),
      { numRuns: 2_000 },
    );
  });

  it('continues a text that ends within a character, and completes the character', () => {
    const bytes = bytesOf('a😀b');
    for (const cut of [2, 3, 4]) {
      const detokenizer = new Detokenizer(new ByteDecoder(), { after: Uint32Array.from(bytes.slice(0, cut)) });
      expect(
        bytes
          .slice(cut)
          .map((id) => detokenizer.push(id))
          .join(''),
      ).toBe('😀b');
    }
  });

  it('continues a text that ends with a replacement character or an incomplete one that stays so', () => {
    const continued = (before: number[]) => {
      const detokenizer = new Detokenizer(new ByteDecoder(), { after: before });
      return detokenizer.push(0x62) + detokenizer.flush();
    };
    expect(continued([0x61, 0xef, 0xbf, 0xbd])).toBe('b');
    expect(continued([0x61, 0xf0, 0x9f])).toBe('b');
    expect(new Detokenizer(new ByteDecoder(), { after: [0xf0] }).flush()).toBe('');
  });

  it('holds back a character until it is complete', () => {
    const detokenizer = new Detokenizer(new ByteDecoder());
    expect(bytesOf('a😀b').map((id) => detokenizer.push(id))).toEqual(['a', '', '', '', '😀', 'b']);
  });

  it('emits a replacement character for bytes that never complete a character', () => {
    const detokenizer = new Detokenizer(new ByteDecoder());
    expect([0x61, 0xe2, 0x82].map((id) => detokenizer.push(id))).toEqual(['a', '', '']);
    expect(detokenizer.flush()).toBe('\uFFFD');
    expect(detokenizer.flush()).toBe('');
  });

  it('skips special tokens unless told otherwise', () => {
    const ids = [0x61, SPECIAL_ID, 0x62];
    const shown = (skipSpecialTokens: boolean) => {
      const detokenizer = new Detokenizer(new ByteDecoder(), { skipSpecialTokens });
      return ids.map((id) => detokenizer.push(id)).join('');
    };
    expect(shown(true)).toBe('ab');
    expect(shown(false)).toBe('a<|end|>b');
  });

  it.each([
    ['text', 0x61],
    ['bytes that are no text', 0x80],
    ['begins of characters', 0xf0],
    ['special tokens', SPECIAL_ID],
  ])('decodes a bounded number of tokens for each of many %s', (_, id) => {
    const decoder = new ByteDecoder();
    const detokenizer = new Detokenizer(decoder);
    for (let i = 0; i < 3_000; i++) detokenizer.push(id);
    expect(decoder.decodedTokens / 3_000).toBeLessThan(20);
  });
});
