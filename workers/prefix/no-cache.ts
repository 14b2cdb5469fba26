import type { PrefixCache } from '../../src/engine/prefix-cache.js';

/** A prefix cache that keeps nothing: each prompt is computed whole, as the baseline of measurements. */
export const NO_CACHE: PrefixCache = {
  prepare: async () => ({
    blocks: [],
    localBlocks: 0,
    remoteBlocks: 0,
    claim: () => true,
    unpin: () => {},
    settle: () => {},
  }),
  reserve: () => null,
};
