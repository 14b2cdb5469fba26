import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Digester, digestOf } from '../../src/digest.js';

describe('digest', () => {
  it('is XXH3 with 64 bits and seed 0', () => {
    expect(digestOf(new Uint8Array(0))).toBe('2d06800538d394c2');
    expect(digestOf(Buffer.from('shoal'))).toBe(digestOf(Buffer.from('shoal')));
    expect(digestOf(new Uint8Array(1))).toMatch(/^[0-9a-f]{16}$/);
  });

  it('is the same however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), fc.array(fc.nat(5000)), (bytes, cuts) => {
        const at = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const digester = new Digester();
        for (let i = 1; i < at.length; i++) digester.update(bytes.subarray(at[i - 1], at[i]));
        expect(digester.digest()).toBe(digestOf(bytes));
      }),
    );
  });

  it('changes with every byte', () => {
    const bytes = new Uint8Array(1000).fill(9);
    const before = digestOf(bytes);
    for (let i = 0; i < bytes.length; i++) {
      bytes[i]! ^= 1;
      expect(digestOf(bytes)).not.toBe(before);
      bytes[i]! ^= 1;
    }
  });
});
