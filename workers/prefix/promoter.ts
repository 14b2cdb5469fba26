import type { Clock } from '../../src/clock.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import { worthPromoting } from '../../src/core/promotion.js';
import type { BlockStore } from '../cache/block-store.js';
import type { LowerTiers } from '../cache/lower-tiers.js';
import type { Tier } from '../cache/tier.js';
import { FetchRates } from './fetch-rates.js';
import type { PrefixPromoter } from './prefix-loader.js';

/** Blocks of lower tiers that are read at a time for one prompt. */
const PROMOTIONS_AT_A_TIME = 4;

export interface PromoterOptions {
  readonly store: BlockStore;
  /** Of that store. */
  readonly lower: LowerTiers;
  readonly clock: Clock;
  readonly blockTokens: number;
  readonly blockBytes: number;
  readonly computeMsPerToken: () => number | null;
  /** The device did not take a block. */
  readonly onFailed: (error: unknown) => void;
}

/** Brings blocks of lower tiers to the device, where that is faster than computing them. */
export class Promoter implements PrefixPromoter {
  private readonly rates: Record<Tier['name'], FetchRates>;

  constructor(private readonly options: PromoterOptions) {
    this.rates = { host: new FetchRates(options.clock), disk: new FetchRates(options.clock) };
  }

  worth(key: BlockKey): boolean {
    const tier = this.options.lower.of(key)?.name;
    if (tier === undefined) return false;
    const rates = { bytesPerMs: this.rates[tier].overall, computeMsPerToken: this.options.computeMsPerToken() };
    return worthPromoting(tier, rates, this.options);
  }

  async promote(blocks: readonly BlockMeta[], signal: AbortSignal): Promise<void> {
    const { lower, clock, blockBytes } = this.options;
    const startedMs = clock.now();
    const brought = { host: 0, disk: 0 };
    // To bring the first ones, others must make room, and fall where the later ones are.
    const pins = blocks.map(({ key }) => lower.of(key)?.pin(key));
    let next = 0;
    const lane = async () => {
      while (next < blocks.length && !signal.aborted) {
        const index = next++;
        const { key } = blocks[index]!;
        const tier = lower.of(key);
        // What comes after a gap is of no use.
        if (tier !== null && this.worth(key) && (await this.bring(key, tier))) brought[tier.name]++;
        else next = blocks.length;
        pins[index]?.();
      }
    };
    await Promise.all(Array.from({ length: PROMOTIONS_AT_A_TIME }, lane));
    for (const unpin of pins) unpin?.();
    const ms = clock.now() - startedMs;
    for (const tier of ['host', 'disk'] as const) {
      if (brought[tier] > 0) this.rates[tier].note(tier, brought[tier] * blockBytes, ms);
    }
  }

  /** False if the block is not on the device afterwards, and nobody else brings it. */
  private async bring(key: BlockKey, tier: Tier): Promise<boolean> {
    const { store, onFailed } = this.options;
    const sealed = tier.sealed(key);
    if (sealed === null) return store.has(key);
    const viewed = tier.view(key);
    try {
      const place = store.place(sealed, viewed?.bytes);
      if (typeof place === 'string') return place === 'held';
      if (place.into !== viewed?.bytes && !(await tier.read(key, place.into))) {
        place.abandon();
        return false;
      }
      await place.commit(sealed, 'kept');
      return store.has(key);
    } catch (error) {
      onFailed(error);
      return false;
    } finally {
      viewed?.release();
    }
  }
}
