import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatByteSize, parseByteSize } from '../../src/byte-size.js';

describe('a size in bytes', () => {
  it.each([
    ['0', 0],
    ['1048576', 1_048_576],
    ['512MiB', 512 * 2 ** 20],
    ['1.5 GB', 1_500_000_000],
    ['2gib', 2 * 2 ** 30],
    ['1kb', 1000],
    ['7B', 7],
  ])('is parsed from %s', (text, bytes) => {
    expect(parseByteSize(text)).toBe(bytes);
  });

  it.each(['', 'MiB', '-1', '1e9', '12 parsecs', '1,5GB', '99999999 TiB', '0x10'])('is not parsed from %j', (text) => {
    expect(parseByteSize(text)).toBeNull();
  });

  it('is parsed from its formatted text, to the formatted precision', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        const again = parseByteSize(formatByteSize(bytes));
        expect(again).not.toBeNull();
        expect(Math.abs(again! - bytes)).toBeLessThanOrEqual(0.051 * bytes);
      }),
    );
  });
});
