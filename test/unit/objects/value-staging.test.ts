import { describe, expect, it } from 'vitest';
import { Overloaded } from '../../../src/errors.js';
import { EXTENT_BYTES } from '../../../src/objects/extent-pool.js';
import type { ValueWriter } from '../../../src/objects/object-value.js';
import { ValueStaging } from '../../../src/objects/value-staging.js';

/** Takes extents until there is no memory. Gives how many there were. */
function fill(writer: ValueWriter): number {
  for (let extents = 0; ; extents++) {
    try {
      const target = writer.target();
      writer.advance(target.byteLength);
    } catch (error) {
      expect(error).toBeInstanceOf(Overloaded);
      return extents;
    }
  }
}

describe('the memory of values on their way in', () => {
  const large = 100 * EXTENT_BYTES;

  it('goes to all clients alike where they are one tenant', () => {
    const staging = new ValueStaging(12 * EXTENT_BYTES);
    expect(fill(staging.writer(large, null))).toBe(12);
  });

  it('leaves room for another tenant, and is there again once a value is given up', () => {
    const staging = new ValueStaging(12 * EXTENT_BYTES);
    const first = staging.writer(large, 'a');
    expect(fill(first)).toBe(6);
    expect(fill(staging.writer(large, 'a'))).toBe(0);
    const second = staging.writer(large, 'b');
    expect(fill(second)).toBe(3);
    expect(fill(staging.writer(large, 'c'))).toBe(2);
    first.abort();
    expect(fill(staging.writer(large, 'a'))).toBe(4);
  });
});
