import type { BlockKey, BlockMeta, PinnedBlock, SealedBlock } from '../../src/core/block.js';
import { reservation } from '../../src/core/reservation.js';
import { Residency } from '../../src/core/residency.js';
import type { BlockPool } from '../../src/device/block-pool.js';
import type { DeviceBlock } from '../../src/device/device.js';
import type { DropReason, HostReservation, RoleOf, Tier, TierListener } from './tier.js';

/** Host memory as a tier below a device that has separate memory. */

interface HostBlock {
  readonly sealed: SealedBlock;
  readonly memory: DeviceBlock;
}

export interface HostTierOptions {
  /** Of blocks of `blockBytes`, with the tier's budget. */
  readonly pool: BlockPool;
  readonly blockBytes: number;
  readonly budgetBytes: number;
  /** Gets the blocks that this tier evicts. */
  readonly below: Tier | null;
  readonly roleOf: RoleOf;
}

/** Host memory as a tier below a device that has separate memory. */
export class HostTier implements Tier {
  readonly name = 'host';
  private readonly residency: Residency<HostBlock>;
  /** Counts resets: a block reserved before one is not kept after it. */
  private resets = 0;
  private listener: TierListener = { landed: () => {}, left: () => {} };

  constructor(private readonly options: HostTierOptions) {
    const { pool } = options;
    this.residency = new Residency<HostBlock>(pool.capacityBlocks, ({ memory }) => pool.give(memory));
  }

  get blocks(): number {
    return this.residency.size;
  }

  get capacityBlocks(): number {
    return this.options.pool.capacityBlocks;
  }

  get bytes(): number {
    return this.options.pool.size * this.options.blockBytes;
  }

  get budgetBytes(): number {
    return this.options.budgetBytes;
  }

  get accepts(): boolean {
    return true;
  }

  get answers(): boolean {
    return true;
  }

  get hasRoom(): boolean {
    return this.options.pool.size < this.capacityBlocks;
  }

  listen(listener: TierListener): void {
    this.listener = listener;
  }

  has(key: BlockKey): boolean {
    return this.residency.has(key);
  }

  sealed(key: BlockKey): SealedBlock | null {
    return this.residency.get(key)?.sealed ?? null;
  }

  keys(): IterableIterator<BlockKey> {
    return this.residency.keys();
  }

  /** The blocks in the order in which they would be evicted. */
  *evictionOrder(): Generator<SealedBlock> {
    for (const { sealed } of this.residency.evictionOrder()) yield sealed;
  }

  touch(key: BlockKey): void {
    this.residency.touch(key);
  }

  pin(key: BlockKey): PinnedBlock | null {
    const pin = this.residency.pin(key);
    if (pin === null) return null;
    const { sealed, memory } = pin.value;
    const { pool } = this.options;
    return { block: sealed, bytes: pool.bytes(memory), shared: pool.sharedPlace(memory), unpin: pin.unpin };
  }

  async read(key: BlockKey, into: Uint8Array): Promise<boolean> {
    const memory = this.residency.get(key)?.memory;
    if (memory === undefined) return false;
    into.set(this.options.pool.bytes(memory));
    return true;
  }

  /** Reserves memory for a block; evicts for it, but never the block's parent. Null if all memory is in use. */
  reserve({ key, parent }: BlockMeta): HostReservation | null {
    const { pool, roleOf } = this.options;
    const memory = this.allocate(parent);
    if (memory === null) return null;
    const { resets } = this;
    return reservation(key, pool.bytes(memory), {
      commit: (sealed: SealedBlock) => {
        if (resets !== this.resets || this.has(key)) return pool.give(memory);
        this.residency.insert(sealed, roleOf(sealed), { sealed, memory });
        this.listener.landed(sealed);
      },
      abort: () => pool.give(memory),
    });
  }

  async put(block: SealedBlock, bytes: Uint8Array): Promise<boolean> {
    this.take(block, bytes);
    return this.has(block.key);
  }

  take(block: SealedBlock, bytes: Uint8Array): void {
    if (this.has(block.key)) return;
    const copy = this.reserve(block);
    if (copy === null) return;
    copy.memory.set(bytes);
    copy.commit(block);
  }

  retain(keys: ReadonlySet<BlockKey>): void {
    this.residency.retain(keys);
  }

  reassign(roleOf: RoleOf): void {
    this.residency.reassign(roleOf);
  }

  drop(key: BlockKey, reason: DropReason): void {
    if (this.residency.remove(key)) this.listener.left(key, reason);
  }

  reset(): number {
    this.resets++;
    const keys = this.residency.clear();
    for (const key of keys) this.listener.left(key, 'reset');
    return keys.length;
  }

  async idle(): Promise<void> {}

  /** No block may be incoming. */
  async close(): Promise<void> {
    this.residency.clear();
    this.options.pool.close();
  }

  private allocate(parent: BlockKey | null): DeviceBlock | null {
    const { pool, below } = this.options;
    for (;;) {
      const memory = pool.take();
      if (memory !== null) return memory;
      const evicted = this.residency.evict(parent);
      if (evicted === null) return null;
      const { sealed } = evicted;
      const { key } = sealed;
      if (below !== null && !below.has(key)) below.take(sealed, pool.bytes(evicted.memory));
      pool.give(evicted.memory);
      this.listener.left(key, below?.has(key) ? 'demoted' : 'evicted');
    }
  }
}
