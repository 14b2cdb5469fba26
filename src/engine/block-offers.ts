import type { BlockMeta } from '../core/block.js';
import type { GraphRunner, SequenceSlot } from './graph-runner.js';
import type { PrefixCache } from './prefix-cache.js';
import type { Sequence } from './sequence.js';

interface BlockOffersOptions {
  readonly cache: PrefixCache;
  readonly runner: GraphRunner;
  readonly blockTokens: number;
  /** An offer failed. */
  readonly onFailed: (error: unknown, requestId: string) => void;
}

/** Offers the full blocks of running sequences to the cache. */
export class BlockOffers {
  constructor(private readonly options: BlockOffersOptions) {}

  /**
   * Offers newly full blocks, of prompt and answer, to the cache. A failure costs only cached blocks, never the answer: the rest of the
   * sequence is not offered. Returns whether the cache has taken all that were offered.
   */
  async offer(sequence: Sequence, slot: SequenceSlot): Promise<boolean> {
    let taken = true;
    try {
      for (let meta = sequence.nextOffer(slot.tokens); meta !== null; meta = sequence.nextOffer(slot.tokens)) {
        taken = (await this.offerOne(meta, slot, sequence)) && taken;
      }
      return taken;
    } catch (error) {
      sequence.stopOffers();
      this.options.onFailed(error, sequence.request.requestId);
      return false;
    }
  }

  private async offerOne(meta: BlockMeta, slot: SequenceSlot, { ownCache, record }: Sequence): Promise<boolean> {
    const { runner, blockTokens } = this.options;
    const reserved = (ownCache ?? this.options.cache).reserve(meta, record.span.traceparent);
    if (reserved === null) return false;
    try {
      await runner.cut(slot, meta.index * blockTokens, reserved.memory);
    } catch (error) {
      reserved.abort();
      throw error;
    }
    reserved.commit();
    return true;
  }
}
