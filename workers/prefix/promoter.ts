import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import { worthPromoting } from '../../src/core/promotion.js';
import { NO_SPAN, type Span } from '../../src/trace/span.js';
import type { BlockStore } from '../cache/block-store.js';
import type { LowerTiers } from '../cache/lower-tiers.js';
import { inMemory, type Tier } from '../cache/tier.js';
import { FetchRates } from './fetch-rates.js';
import type { PrefixPromoter } from './prefix-loader.js';

/** Brings blocks of lower tiers to the device, where that is faster than computing them. */

/** Blocks of lower tiers that are read at a time for one prompt. */
const PROMOTIONS_AT_A_TIME = 4;

export interface PromoterOptions {
  readonly store: BlockStore;
  /** The lower tiers of `store`. */
  readonly lower: LowerTiers;
  readonly clock: Clock;
  readonly blockTokens: number;
  readonly blockBytes: number;
  readonly computeMsPerToken: () => number | null;
  /** The device failed to take a block. */
  readonly onFailed: (error: unknown) => void;
}

/** Brings blocks of lower tiers to the device, where that is faster than computing them. */
export class Promoter implements PrefixPromoter {
  private readonly rates: Record<Tier['name'], FetchRates>;

  constructor(private readonly options: PromoterOptions) {
    this.rates = { host: new FetchRates(options.clock), disk: new FetchRates(options.clock) };
  }

  worth(key: BlockKey): boolean {
    const tier = this.options.lower.tierOf(key);
    if (tier === null || !tier.answers) return false;
    const rates = { bytesPerMs: this.rates[tier.name].overall, computeMsPerToken: this.options.computeMsPerToken() };
    return worthPromoting(tier.name, rates, this.options);
  }

  async promote(blocks: readonly BlockMeta[], signal: AbortSignal, request: Span = NO_SPAN): Promise<void> {
    const { lower, clock, blockBytes } = this.options;
    const span = request.child('shoal.promote', { 'shoal.blocks.wanted': blocks.length });
    const startedMs = clock.now();
    const brought = { host: 0, disk: 0 };
    // Promotions evict blocks from the device, which are demoted and may in turn evict the later blocks of this run.
    const pins = blocks.map(({ key }) => lower.tierOf(key)?.pin(key));
    let next = 0;
    const lane = async () => {
      while (next < blocks.length && !signal.aborted) {
        const index = next++;
        const { key } = blocks[index]!;
        const tier = lower.tierOf(key);
        // Blocks after a gap are of no use.
        if (tier !== null && this.worth(key) && (await this.bring(key, tier))) brought[tier.name]++;
        else next = blocks.length;
        pins[index]?.unpin();
      }
    };
    await Promise.all(Array.from({ length: PROMOTIONS_AT_A_TIME }, lane));
    for (const pin of pins) pin?.unpin();
    span.set({ 'shoal.blocks.host': brought.host, 'shoal.blocks.disk': brought.disk });
    span.end();
    const ms = clock.now() - startedMs;
    for (const tier of ['host', 'disk'] as const) {
      if (brought[tier] > 0) this.rates[tier].note(tier, brought[tier] * blockBytes, ms);
    }
  }

  /** False if the block is neither on the device afterwards nor in transit to it. */
  private async bring(key: BlockKey, tier: Tier): Promise<boolean> {
    const { store, onFailed } = this.options;
    const pin = tier.pin(key);
    if (pin === null) return store.has(key);
    if (inMemory(pin)) tier.touch(key);
    try {
      const reserved = store.reserveBytes(pin.block, 'kept', pin.bytes);
      if (typeof reserved === 'string') return reserved === 'present';
      if (reserved.memory !== pin.bytes && !(await tier.read(key, reserved.memory))) {
        reserved.abort();
        return false;
      }
      await reserved.commit();
      return store.has(key);
    } catch (error) {
      onFailed(error);
      return false;
    } finally {
      pin.unpin();
    }
  }
}
