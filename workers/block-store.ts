import type { BlockKey, BlockMeta, BlockRole, SealedBlock } from '../src/core/block.js';
import { blockBytes } from '../src/core/kv-layout.js';
import type { Shard } from '../src/core/shard.js';
import type { Device, DeviceBlock } from '../src/device/device.js';
import type { ReservedBlock } from '../src/engine/prefix-cache.js';
import { InternalError } from '../src/errors.js';
import type { Admission, BlockHost, LentBlock } from '../src/peer/block-host.js';
import { digestOf } from '../src/peer/digest.js';
import { Latch } from './latch.js';

/** What others want to know of the store. Called after the change. */
export interface StoreListener {
  added(block: SealedBlock, origin: BlockOrigin): void;
  removed(key: BlockKey, reason: 'evicted' | 'reset'): void;
}

export type BlockOrigin = 'computed' | 'fetched' | 'pushed';

/** A block that stays where it is until `release`. */
export interface BorrowedBlock {
  readonly sealed: SealedBlock;
  readonly block: DeviceBlock;
  /** It came from a peer, and no sequence of this worker has used it yet. */
  readonly foreign: boolean;
  release(): void;
}

/** Memory for a block whose bytes are still to come. Either `commit` or `abandon` must follow. */
export interface BlockPlace {
  readonly block: DeviceBlock;
  commit(sealed: SealedBlock, origin: BlockOrigin): void;
  abandon(): void;
}

/** Why there is no memory for a block: it is here or on its way, or all that is here is in use or needed by it. */
export type NoPlace = 'held' | 'full';

/**
 * The blocks of this worker: the shard decides which stay, the device has the bytes. All that reads a block holds it by a pin, so that its
 * memory is never used again under a reader.
 */
export class BlockStore implements BlockHost {
  private readonly resident = new Map<BlockKey, { sealed: SealedBlock; block: DeviceBlock; foreign: boolean }>();
  /** Blocks that have memory and no bytes yet; the latch opens when that is over. */
  private readonly coming = new Map<BlockKey, Latch>();
  private readonly listeners: StoreListener[] = [];
  /** Blocks that are held by pins, each as often as it is. */
  private pins = 0;
  private waiters: (() => void)[] = [];
  /** Counts resets: what was on its way before one is not taken after it. */
  private resets = 0;

  /** `roleOf` says whether the ring makes this worker a home of the block. */
  constructor(
    private readonly device: Device,
    private readonly shard: Shard,
    private readonly roleOf: (block: BlockMeta) => BlockRole,
  ) {}

  listen(listener: StoreListener): void {
    this.listeners.push(listener);
  }

  has(key: BlockKey): boolean {
    return this.resident.has(key);
  }

  /** Whether it is on its way here: computed, fetched or pushed at this moment. */
  comes(key: BlockKey): boolean {
    return this.coming.has(key);
  }

  /** Resolves when the block is not on its way any more, whether or not it is here then. Rejects with `Cancelled` if the signal comes first. */
  async settled(key: BlockKey, signal: AbortSignal): Promise<void> {
    await this.coming.get(key)?.wait(signal);
  }

  /** Keys of all blocks, as they are now. */
  keys(): BlockKey[] {
    return [...this.resident.keys()];
  }

  sealed(key: BlockKey): SealedBlock | null {
    return this.resident.get(key)?.sealed ?? null;
  }

  /** Pins a block and counts the use of it; null if it is not here. */
  borrow(key: BlockKey): BorrowedBlock | null {
    const entry = this.resident.get(key);
    if (!entry) return null;
    this.shard.touch(key);
    this.shard.pin(key);
    this.pins++;
    let pinned = true;
    const release = () => {
      if (!pinned) return;
      pinned = false;
      this.shard.unpin(key);
      this.pins--;
      this.tellIfQuiet();
    };
    return { ...entry, release };
  }

  /** A sequence of this worker uses the block from now on: it is no longer foreign. */
  adopt(key: BlockKey): void {
    const entry = this.resident.get(key);
    if (entry) entry.foreign = false;
  }

  /** Takes memory for a block, evicting what is least worth keeping, but never the block's parent. */
  place({ key, parent }: BlockMeta): BlockPlace | NoPlace {
    if (this.has(key) || this.comes(key)) return 'held';
    const block = this.allocate(parent);
    if (!block) return 'full';
    const landed = new Latch();
    this.coming.set(key, landed);
    const { resets } = this;
    let open = true;
    const close = () => {
      if (!open) throw new InternalError(`place of block ${key} was already given back or filled`);
      open = false;
      this.coming.delete(key);
      landed.open();
      this.tellIfQuiet();
    };
    return {
      block,
      commit: (sealed, origin) => {
        close();
        if (resets === this.resets) this.insert(sealed, block, origin);
        else this.device.freeBlock(block);
      },
      abandon: () => {
        close();
        this.device.freeBlock(block);
      },
    };
  }

  /**
   * A place for a block that the engine computes; sealed with the digest of its bytes. Null for one whose parent is not here: a prompt that is
   * longer than the cache would else push its own beginning out.
   */
  reserve(meta: BlockMeta): ReservedBlock | null {
    const { parent } = meta;
    if (parent !== null && !this.has(parent) && !this.comes(parent)) return null;
    const place = this.place(meta);
    if (typeof place === 'string') return null;
    return {
      block: place.block,
      seal: () => place.commit({ ...meta, digest: digestOf(this.bytes(place.block)) }, 'computed'),
      abandon: () => place.abandon(),
    };
  }

  async lend(key: BlockKey): Promise<LentBlock | null> {
    const borrowed = this.borrow(key);
    if (!borrowed) return null;
    return {
      block: borrowed.sealed,
      bytes: this.bytes(borrowed.block),
      shared: this.device.sharedPlace(borrowed.block),
      release: borrowed.release,
    };
  }

  admit(block: SealedBlock): Admission {
    // On its way is not here yet: who pushes it must not count on this copy.
    if (this.comes(block.key)) return { kind: 'full' };
    const place = this.place(block);
    if (typeof place === 'string') return { kind: place };
    return {
      kind: 'accepted',
      into: this.bytes(place.block),
      commit: async () => place.commit(block, 'pushed'),
      abort: () => place.abandon(),
    };
  }

  /** Host memory of a block. Devices with memory of their own will need a staging copy here; the CPU device has none. */
  bytes(block: DeviceBlock): Uint8Array {
    const view = this.device.view(block);
    if (!view) throw new InternalError(`blocks of the ${this.device.kind} device cannot be read in place`);
    return view;
  }

  /** The ring has changed: says anew which blocks are kept as a duty. */
  reassignRoles(): void {
    for (const { sealed } of this.resident.values()) this.shard.setRole(sealed.key, this.roleOf(sealed));
  }

  /** Drops every block that nothing reads, and what is on its way here. Returns how many were dropped. */
  reset(): number {
    this.resets++;
    const dropped = this.shard.reset();
    for (const key of dropped) this.drop(key, 'reset');
    return dropped.length;
  }

  /** Resolves when nothing reads a block, and none is on its way: then `reset` drops everything. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.tellIfQuiet();
    });
  }

  get usedBytes(): number {
    return this.resident.size * blockBytes(this.device.layout);
  }

  get blocks(): number {
    return this.resident.size;
  }

  private tellIfQuiet(): void {
    if (this.pins > 0 || this.coming.size > 0) return;
    for (const go of this.waiters.splice(0)) go();
  }

  private allocate(parent: BlockKey | null): DeviceBlock | null {
    const kept = parent === null ? null : this.borrow(parent);
    try {
      for (;;) {
        const block = this.device.allocateBlock();
        if (block) return block;
        const victim = this.shard.evict();
        if (!victim) return null;
        this.drop(victim, 'evicted');
      }
    } finally {
      kept?.release();
    }
  }

  private insert(sealed: SealedBlock, block: DeviceBlock, origin: BlockOrigin): void {
    const { inserted, evicted } = this.shard.insert(sealed, this.roleOf(sealed));
    // The device's pool and the shard have the same budget, and the pool gave memory for this block.
    if (!inserted || evicted.length > 0) throw new InternalError(`the shard had no room for block ${sealed.key}`);
    this.resident.set(sealed.key, { sealed, block, foreign: origin !== 'computed' });
    for (const listener of this.listeners) listener.added(sealed, origin);
  }

  private drop(key: BlockKey, reason: 'evicted' | 'reset'): void {
    const entry = this.resident.get(key);
    if (!entry) throw new InternalError(`the shard evicted block ${key}, which is not here`);
    this.resident.delete(key);
    this.device.freeBlock(entry.block);
    for (const listener of this.listeners) listener.removed(key, reason);
  }
}
