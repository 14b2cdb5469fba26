import { ASSUMED_RATES } from './rates.js';

export interface PromotionRates {
  /** How fast the tier gives blocks to the device; null if there is no measurement. */
  readonly bytesPerMs: number | null;
  readonly computeMsPerToken: number | null;
}

/** Whether a block of a lower tier is on the device sooner than it is computed there. */
export function worthPromoting(
  tier: 'host' | 'disk',
  { bytesPerMs, computeMsPerToken }: PromotionRates,
  { blockBytes, blockTokens }: { readonly blockBytes: number; readonly blockTokens: number },
): boolean {
  const assumed = tier === 'host' ? ASSUMED_RATES.hostBytesPerMs : ASSUMED_RATES.diskBytesPerMs;
  return blockBytes / (bytesPerMs ?? assumed) < blockTokens * (computeMsPerToken ?? ASSUMED_RATES.computeMsPerToken);
}
