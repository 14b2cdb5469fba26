import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt, InternalError } from '../../../src/errors.js';
import { PACKED_BLOCK_BYTES, packBlocks, unpackBlocks } from '../../../src/peer/wire/block-headers.js';
import { keyOf } from './support/host.js';

const MAKER = { id: 'w1', incarnation: 'ab' };
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'));
const block = fc.record({
  key: hex(32),
  parent: fc.option(hex(32), { nil: null }),
  index: fc.integer({ min: 0, max: 0xffffffff }),
  segment: hex(32),
  digest: hex(8),
  maker: fc.record({
    id: fc.string({ minLength: 1, maxLength: 16, unit: 'grapheme-ascii' }),
    incarnation: fc.constantFrom('0001', 'ä', 'x'.repeat(64)),
  }),
});

describe('packed blocks', () => {
  it('are read as they were packed', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 20 }), (blocks) => {
        const packed = packBlocks(blocks);
        expect(packed.byteLength).toBe(blocks.length * PACKED_BLOCK_BYTES);
        expect(unpackBlocks(packed)).toEqual(blocks);
      }),
    );
  });

  it('have the layout of the protocol', () => {
    const packed = packBlocks([
      {
        index: 0x0102,
        parent: null,
        digest: '0123456789abcdef',
        key: 'aa'.repeat(32),
        segment: 'bb'.repeat(32),
        maker: MAKER,
      },
    ]);
    expect(Buffer.from(packed).toString('hex')).toBe(
      `${'02010000'}${'00000000'}${'0123456789abcdef'}${'aa'.repeat(32)}${'00'.repeat(32)}${'bb'.repeat(32)}${`02027731${'6162'}`.padEnd(256, '0')}`,
    );
  });

  it('that were written in any other way are refused', () => {
    const packed = Buffer.from(
      packBlocks([
        { index: 0, parent: null, digest: '0'.repeat(16), key: keyOf('a'), segment: keyOf('a'), maker: MAKER },
      ]),
    );
    expect(() => unpackBlocks(packed.subarray(1))).toThrow(Corrupt);
    packed[4] = 2;
    expect(() => unpackBlocks(packed)).toThrow(Corrupt);
    packed[4] = 0;
    packed[50] = 1;
    expect(() => unpackBlocks(packed)).toThrow(Corrupt);
    packed[50] = 0;
    expect(unpackBlocks(packed)).toHaveLength(1);
    for (const [at, byte] of [
      [112, 0],
      [113, 125],
      [239, 1],
    ] as const) {
      const changed = Buffer.from(packed);
      changed[at] = byte;
      expect(() => unpackBlocks(changed)).toThrow(Corrupt);
    }
  });

  it('with a name of a wrong length are not packed', () => {
    const good = { index: 0, parent: null, digest: '0'.repeat(16), key: keyOf('a'), segment: keyOf('a'), maker: MAKER };
    expect(() => packBlocks([{ ...good, key: 'abc' }])).toThrow(InternalError);
    expect(() => packBlocks([{ ...good, digest: 'z'.repeat(16) }])).toThrow(InternalError);
    expect(() => packBlocks([{ ...good, maker: { id: '', incarnation: '1' } }])).toThrow(InternalError);
    expect(() => packBlocks([{ ...good, maker: { id: 'x'.repeat(64), incarnation: 'y'.repeat(63) } }])).toThrow(
      InternalError,
    );
  });
});
