import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../src/errors.js';
import { shuffle, unshuffle } from '../../../../src/kv/encoding/byte-shuffle.js';
import { compressLz4, decompressLz4 } from '../../../../src/kv/encoding/lz4.js';
import { compressZstd, decompressZstd } from '../../../../src/kv/encoding/zstd.js';

/** Blocks that the reference implementation of LZ4 made. */
const LZ4_BLOCKS: [text: string, block: string][] = [
  ['', '00'],
  ['a', '1061'],
  ['shoal shoal shoal shoal shoal shoal.', '6f73686f616c200600056073686f616c2e'],
  ['x'.repeat(300), '1f780100ff1360787878787878'],
  [`${'abcdefghijklmnop'.repeat(3)}!`, 'ff016162636465666768696a6b6c6d6e6f70100008606c6d6e6f7021'],
];

const CODECS = [
  ['lz4', async (bytes: Uint8Array) => compressLz4(bytes), async (b: Uint8Array, n: number) => decompressLz4(b, n)],
  ['zstd', compressZstd, decompressZstd],
] as const;

/** Bytes with and without repetitions. */
const someBytes = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }),
  fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 8 }).chain((words) =>
    fc.array(fc.nat(Math.max(0, words.length - 1)), { maxLength: 200 }).map((order) => {
      return Uint8Array.from(order.flatMap((at) => [...(words[at] ?? [])]));
    }),
  ),
);

describe.each(CODECS)('%s', (_name, compress, decompress) => {
  it('gives back what was compressed', async () => {
    await fc.assert(
      fc.asyncProperty(someBytes, async (bytes) => {
        const packed = await compress(bytes);
        expect(Buffer.compare(await decompress(packed, bytes.length), bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
    const large = Buffer.alloc(300_000, 'a text that repeats itself; ');
    const packed = await compress(large);
    expect(packed.byteLength).toBeLessThan(3_000);
    expect(Buffer.compare(await decompress(packed, large.length), large)).toBe(0);
  });

  it('refuses another length than was announced, and so a bomb', async () => {
    const packed = await compress(new Uint8Array(8 * 2 ** 20));
    expect(packed.byteLength).toBeLessThan(40_000);
    for (const length of [0, 1, 1_000, 8 * 2 ** 20 - 1, 8 * 2 ** 20 + 1]) {
      await expect(decompress(packed, length)).rejects.toThrow(Corrupt);
    }
  });

  it('ends with the right length or as corrupt for any bytes', async () => {
    const damaged = fc.tuple(someBytes, fc.array(fc.tuple(fc.nat(4_000), fc.nat(255)), { maxLength: 4 }));
    const tries = async (bytes: Uint8Array, length: number) => {
      try {
        expect((await decompress(bytes, length)).byteLength).toBe(length);
      } catch (error) {
        expect(error).toBeInstanceOf(Corrupt);
      }
    };
    await fc.assert(
      fc.asyncProperty(damaged, fc.nat(3_000), async ([bytes, changes], length) => {
        await tries(bytes, length);
        const packed = Uint8Array.from(await compress(bytes));
        for (const [at, value] of changes) packed[at % packed.length] = value;
        await tries(packed, bytes.length);
        await tries(packed.subarray(0, packed.length / 2), bytes.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a block of LZ4', () => {
  it.each(LZ4_BLOCKS)('of the reference implementation is read: %j', (text, block) => {
    expect(Buffer.from(decompressLz4(Buffer.from(block, 'hex'), text.length)).toString()).toBe(text);
  });

  it('ends in five literals and has no match in the twelve bytes before, as decoders demand', () => {
    expect(Buffer.from(compressLz4(Buffer.alloc(300, 'x'))).toString('hex')).toBe('1f780100ff14507878787878');
    expect(Buffer.from(compressLz4(Buffer.alloc(12, 'x'))).toString('hex')).toBe(`c0${'78'.repeat(12)}`);
  });
});

it('shuffled bytes come back in their order', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(1, 2, 4, 8), (bytes, size) => {
      const whole = bytes.subarray(0, bytes.length - (bytes.length % size));
      expect([...unshuffle(shuffle(whole, size), size)]).toEqual([...whole]);
    }),
  );
  expect([...shuffle(Uint8Array.of(1, 2, 3, 4, 5, 6), 2)]).toEqual([1, 3, 5, 2, 4, 6]);
});
