import type { FairShares } from '../core/fair-shares.js';
import type { SequenceSlot } from './graph-runner.js';
import type { Sequence } from './sequence.js';

/** Pauses of one prefill. Each copies the blocks that it has computed once more. */
const PAUSES = 8;

/**
 * Whether a prefill stops between two chunks to let another tenant's sequence pass: less was computed for that tenant, and the sequence has less left to
 * compute. The paused sequence's blocks must be in the cache, from which it continues later.
 */
export function letsPass(
  { sequence, slot, kept }: { readonly sequence: Sequence; readonly slot: SequenceSlot; readonly kept: boolean },
  next: Sequence,
  shares: FairShares,
  blockTokens: number,
): boolean {
  if (!kept || sequence.pauses >= PAUSES || sequence.request.sampling.promptLogprobs) return false;
  // The cache must be able to give back everything it has computed, except a partial block.
  if (sequence.prefixBlocks().length * blockTokens <= slot.tokens - blockTokens) return false;
  if (!shares.isBehind(next.tenant, sequence.tenant)) return false;
  const cachedTokens = next.state.name === 'ready' ? next.state.prefix.blocks.length * blockTokens : 0;
  return next.length - cachedTokens <= sequence.length - slot.tokens;
}
