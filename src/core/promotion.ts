import { ASSUMED_RATES } from './rates.js';

/** Decides whether a block of a lower tier is worth copying to the device. */

export interface PromotionRates {
  /** Measured speed from the tier to the device; null if not measured yet. */
  readonly bytesPerMs: number | null;
  readonly computeMsPerToken: number | null;
}

/** Whether copying a block from `tier` to the device is faster than computing the block. */
export function worthPromoting(
  tier: 'host' | 'disk',
  { bytesPerMs, computeMsPerToken }: PromotionRates,
  { blockBytes, blockTokens }: { readonly blockBytes: number; readonly blockTokens: number },
): boolean {
  const assumed = tier === 'host' ? ASSUMED_RATES.hostBytesPerMs : ASSUMED_RATES.diskBytesPerMs;
  return blockBytes / (bytesPerMs ?? assumed) < blockTokens * (computeMsPerToken ?? ASSUMED_RATES.computeMsPerToken);
}
