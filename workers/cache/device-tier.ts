import type { BlockKey, BlockMeta, SealedBlock } from '../../src/core/block.js';
import { Shard } from '../../src/core/shard.js';
import type { Device, DeviceBlock } from '../../src/device/device.js';
import { type Held, Residents } from './residents.js';
import type { RoleOf } from './tier.js';

/** A block on the device. */
export interface DeviceResident {
  readonly meta: BlockMeta;
  readonly block: DeviceBlock;
  /** Null until its digest is taken: till then it is for the sequences of this worker alone. */
  sealed: SealedBlock | null;
  /** It came from a peer, and no sequence of this worker has used it yet. */
  foreign: boolean;
}

/** What the store wants to be told. */
export interface DeviceTierOwner {
  /** The block has to make room: the last moment to copy it elsewhere. */
  evicting(resident: DeviceResident): void;
  /** It is not here any more. */
  evicted(key: BlockKey): void;
}

/** The highest tier: blocks that a sequence can be given at once. The shard says which of them stay. */
export class DeviceTier {
  private readonly residents: Residents<DeviceResident>;

  constructor(
    private readonly device: Device,
    private readonly roleOf: RoleOf,
    private readonly owner: DeviceTierOwner,
  ) {
    this.residents = new Residents<DeviceResident>(new Shard(this.capacityBlocks), {
      evicting: (resident) => owner.evicting(resident),
      free: ({ block }) => device.freeBlock(block),
    });
  }

  get blocks(): number {
    return this.residents.size;
  }

  /** As many as the device has memory for, as far as it knows. */
  get capacityBlocks(): number {
    return this.device.memory().capacityBlocks;
  }

  /** Pins that are not released. */
  get held(): number {
    return this.residents.held;
  }

  /** What all blocks of the device take up, with those that are on their way in or out. */
  get bytes(): number {
    return this.device.memory().blockBytes;
  }

  get budgetBytes(): number {
    return this.device.memory().blockBudgetBytes;
  }

  has(key: BlockKey): boolean {
    return this.residents.has(key);
  }

  get(key: BlockKey): DeviceResident | null {
    return this.residents.get(key);
  }

  keys(): IterableIterator<BlockKey> {
    return this.residents.keys();
  }

  touch(key: BlockKey): void {
    this.residents.touch(key);
  }

  hold(key: BlockKey): Held<DeviceResident> | null {
    return this.residents.hold(key);
  }

  /** In the order in which they would have to make room. */
  *evictionOrder(): Generator<SealedBlock> {
    for (const { sealed } of this.residents.evictionOrder()) if (sealed !== null) yield sealed;
  }

  /** Takes memory for a block, by dropping what is missed least, but not the block's parent. Null if the device gives none even so. */
  allocate(parent: BlockKey | null): DeviceBlock | null {
    for (;;) {
      const block = this.device.allocateBlock();
      if (block !== null) return block;
      const key = this.residents.evict(parent);
      if (key === null) return null;
      this.owner.evicted(key);
    }
  }

  insert(resident: DeviceResident): void {
    this.residents.insert(resident.meta, this.roleOf(resident.meta), resident);
  }

  drop(key: BlockKey): boolean {
    return this.residents.drop(key);
  }

  reassign(): void {
    this.residents.reassign(this.roleOf);
  }

  /** Drops everything; what is held is freed when it is released. */
  reset(): BlockKey[] {
    return this.residents.clear();
  }
}
