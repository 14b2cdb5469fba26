import { xxh32 } from '@node-rs/xxhash';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksumOf } from '../../src/digest.js';
import { xxh32Short } from '../../src/xxh32.js';

describe('XXH32 of short inputs', () => {
  it('equals the hash of the native library', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(20), (bytes, skip, cut) => {
        const from = Math.min(skip, bytes.byteLength);
        const end = Math.max(bytes.byteLength - cut, from);
        const expected = xxh32(bytes.subarray(from, end), 0);
        expect(xxh32Short(bytes, from, end)).toBe(expected);
        expect(checksumOf(bytes, from, end)).toBe(expected);
      }),
    );
  });

  it('is right for every length up to several stripes, and for bytes with the highest bit set', () => {
    for (let length = 0; length <= 64; length++) {
      for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
        const bytes = new Uint8Array(length).fill(byte);
        expect(xxh32Short(bytes, 0, length)).toBe(xxh32(bytes, 0));
      }
    }
  });

  it('passes the vectors of the specification', () => {
    const text = (value: string) => new Uint8Array(Buffer.from(value));
    expect(xxh32Short(text(''), 0, 0)).toBe(0x02cc5d05);
    expect(xxh32Short(text('a'), 0, 1)).toBe(0x550d7456);
    expect(xxh32Short(text('abc'), 0, 3)).toBe(0x32d153ff);
  });
});
