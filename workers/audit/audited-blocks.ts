import type { BlockDigest, BlockKey, SealedBlock } from '../../src/core/block.js';
import type { BlockStore } from '../cache/block-store.js';

/** The blocks on the device that this worker has computed again and found right, in the bytes that they have now. */
export class AuditedBlocks {
  private readonly digests = new Map<BlockKey, BlockDigest>();

  /** A block that leaves the device is forgotten: what comes back may be other bytes. */
  constructor(store: Pick<BlockStore, 'listen'>) {
    store.listen({ left: (tier, key) => tier === 'device' && this.digests.delete(key) });
  }

  has({ key, digest }: SealedBlock): boolean {
    return this.digests.get(key) === digest;
  }

  add({ key, digest }: SealedBlock): void {
    this.digests.set(key, digest);
  }
}
