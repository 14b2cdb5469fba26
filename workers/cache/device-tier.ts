import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import { type Pin, Residency } from '../../src/core/residency.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import type { TierUse } from '../../src/metrics/worker-metrics.js';
import type { RoleOf } from './tier.js';

/** The highest tier: blocks in the device's memory, which a sequence can be given at once. */

/** A block on the device. */
export interface DeviceResident {
  readonly meta: BlockMeta;
  readonly block: DeviceBlock;
  /** Null until the digest is taken: until then only sequences of this worker get the block. */
  sealed: SealedBlock | null;
  /** The block came from a peer, and no sequence of this worker has used it yet. */
  foreign: boolean;
}

/** Hears of evictions. */
export interface DeviceTierOwner {
  /** The block is about to be freed: the last moment to copy it elsewhere. */
  evicting(resident: DeviceResident): void;
  /** The block is not on the device any more. */
  evicted(key: BlockKey): void;
}

/** The highest tier: blocks that a sequence can be given at once. */
export class DeviceTier {
  private readonly residency: Residency<DeviceResident>;

  constructor(
    private readonly device: Device,
    private readonly roleOf: RoleOf,
    private readonly owner: DeviceTierOwner,
  ) {
    this.residency = new Residency<DeviceResident>(this.capacityBlocks, ({ block }) => device.freeBlock(block));
  }

  get blocks(): number {
    return this.residency.size;
  }

  /** Its bytes cover all blocks of the device, including incoming and outgoing ones. */
  get use(): TierUse {
    const { blockBytes: bytes, blockBudgetBytes: budgetBytes } = this.device.memory();
    return { tier: 'device', blocks: this.blocks, bytes, budgetBytes };
  }

  /** The device's own estimate of the blocks that its memory holds. */
  get capacityBlocks(): number {
    return this.device.memory().capacityBlocks;
  }

  /** Pins that are open. */
  get pins(): number {
    return this.residency.pins;
  }

  has(key: BlockKey): boolean {
    return this.residency.has(key);
  }

  get(key: BlockKey): DeviceResident | null {
    return this.residency.get(key);
  }

  keys(): IterableIterator<BlockKey> {
    return this.residency.keys();
  }

  /** Counts a use of the block, if it is here. */
  touch(key: BlockKey): void {
    this.residency.touch(key);
  }

  /** Another worker has read the block, if it is here. */
  handOn(key: BlockKey): void {
    this.residency.handOn(key);
  }

  /** Keeps the block's memory as it is until `unpin`; null where it is not here. Counts no use. */
  pin(key: BlockKey): Pin<DeviceResident> | null {
    return this.residency.pin(key);
  }

  /** Never evicts the blocks with these keys, those to come included, until the next call. */
  retain(keys: ReadonlySet<BlockKey>): void {
    this.residency.retain(keys);
  }

  retains(key: BlockKey): boolean {
    return this.residency.retains(key);
  }

  /** The sealed blocks in the order in which they would be evicted. */
  *evictionOrder(): Generator<SealedBlock> {
    for (const { sealed } of this.residency.evictionOrder()) if (sealed !== null) yield sealed;
  }

  /** Allocates memory for a block; evicts for it if it may, but never the block's parent. Null if the device has none even so. */
  allocate(parent: BlockKey | null, mayEvict: boolean): DeviceBlock | null {
    for (;;) {
      const block = this.device.allocateBlock();
      if (block !== null || !mayEvict) return block;
      const evicted = this.residency.evict(parent);
      if (evicted === null) return null;
      this.owner.evicting(evicted);
      this.device.freeBlock(evicted.block);
      this.owner.evicted(evicted.meta.key);
    }
  }

  insert(resident: DeviceResident): void {
    this.residency.insert(resident.meta, this.roleOf(resident.meta), resident);
  }

  remove(key: BlockKey): boolean {
    return this.residency.remove(key);
  }

  reassign(): void {
    this.residency.reassign(this.roleOf);
  }

  /** Removes all blocks; pinned memory is freed at the last unpin. */
  reset(): BlockKey[] {
    return this.residency.clear();
  }
}
