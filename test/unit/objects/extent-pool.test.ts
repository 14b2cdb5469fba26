import { describe, expect, it } from 'vitest';
import {
  EXTENT_BYTES,
  FREE_BYTES,
  giveExtent,
  LEAST_KEPT_BYTES,
  takeExtent,
} from '../../../src/objects/extent-pool.js';

describe('memory for extents', () => {
  it('is used again by its exact size, and small memory is not kept', () => {
    for (const bytes of [EXTENT_BYTES, 65_536, 100_000]) {
      const extent = takeExtent(bytes);
      expect(extent.byteLength).toBe(bytes);
      giveExtent(extent);
      expect(takeExtent(bytes - 1)).not.toBe(extent);
      expect(takeExtent(bytes)).toBe(extent);
      expect(takeExtent(bytes)).not.toBe(extent);
    }
    const small = takeExtent(LEAST_KEPT_BYTES - 1);
    giveExtent(small);
    expect(takeExtent(LEAST_KEPT_BYTES - 1)).not.toBe(small);
  });

  it('waits within a limit: the size that was used least recently goes first', () => {
    const old = takeExtent(70_000);
    giveExtent(old);
    const extents = Array.from({ length: FREE_BYTES / EXTENT_BYTES }, () => takeExtent(EXTENT_BYTES));
    for (const extent of extents) giveExtent(extent);
    expect(takeExtent(70_000)).not.toBe(old);
    const known = new Set(extents);
    for (let i = 0; i < extents.length; i++) expect(known.delete(takeExtent(EXTENT_BYTES))).toBe(true);
  });
});
