import type { PrefixCache } from '../../src/engine/prefix-cache.js';

/** Keeps nothing and knows nothing: every prompt is computed whole. What answers are measured against. */
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
