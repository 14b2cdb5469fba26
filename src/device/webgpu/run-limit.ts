import type { Adapter } from './vulkan.js';

/** The longest run that ONNX Runtime's WebGPU provider computes right on an adapter. */

/**
 * ONNX Runtime 1.30 computes the attention of runs of 32 tokens and more with the kernel `FlashAttention`, and shorter runs with another one.
 */
const LONGEST_SHORT_RUN_TOKENS = 31;
/**
 * `FlashAttention` shares keys and values among the lanes of a subgroup. It steps over as many keys as there are lanes, at most 16, but reads at
 * least 8 in each step: with fewer lanes it counts keys again.
 */
const FEWEST_LANES = 8;

/**
 * The greatest number of tokens of a run whose numbers are right; infinite if there is no bound. Software adapters are bounded with any number of
 * subgroup lanes: SwiftShader has 4, and Mesa's llvmpipe computes longer runs wrong with 8.
 * @param adapters of this machine, the one that the provider uses first, or why there are none
 */
export function longestRightRunTokens(adapters: readonly Adapter[] | string): number {
  const adapter = typeof adapters === 'string' ? undefined : adapters[0];
  if (adapter === undefined) return Number.POSITIVE_INFINITY;
  const fewLanes = adapter.subgroupLanes !== null && adapter.subgroupLanes < FEWEST_LANES;
  return fewLanes || adapter.type === 'software' ? LONGEST_SHORT_RUN_TOKENS : Number.POSITIVE_INFINITY;
}
