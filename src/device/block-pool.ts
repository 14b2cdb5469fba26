import type { SharedPlace } from '../core/shared-place.js';
import { SharedMemory } from '../native/shared-memory.js';
import { NativeMemory } from '../ort/memory.js';
import { OrtError } from '../ort/ort-error.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { BlockPlaces } from './block-places.js';
import type { DeviceBlock } from './device.js';

/** Allocates blocks of equal size in host memory, in slabs, up to a budget in bytes. */

/**
 * Host memory for blocks is allocated in slabs of about this size. A slab is only address space until it is used. It is half as large as the
 * largest view that Node 20 allows: the garbage collector counts each view as external memory, and collects the whole heap whenever much of
 * it is added.
 * @internal exported for tests.
 */
export const HOST_SLAB_BYTES = 2048 * 2 ** 20;
const COMMIT_AHEAD_BYTES = 64 * 2 ** 20;
const COMMIT_DELAY_MS = 200;

type Slab = SharedMemory | NativeMemory;

/**
 * A pool of blocks. Slabs are reserved when they are first needed, and freed by `close`. Other processes of the host can read the blocks if
 * the system supports shared memory.
 */
export class BlockPool {
  private readonly slabs: Slab[] = [];
  private readonly places: BlockPlaces;
  private readonly capacity: number;
  private readonly perSlab: number;
  /** Places before this one have been used. */
  private used = 0;
  /** Places before this one are backed by physical memory, or are being backed. */
  private committed = 0;
  /** The number of unused places to back by physical memory ahead of their use. */
  private readonly ahead: number;
  private keepsAhead = false;
  private commitTimer: NodeJS.Timeout | null = null;
  private committing: Promise<void> = Promise.resolve();

  constructor(
    private readonly runtime: OrtRuntime,
    private readonly blockBytes: number,
    budgetBytes: number,
    slabBytes: number = HOST_SLAB_BYTES,
  ) {
    this.capacity = Math.floor(budgetBytes / blockBytes);
    this.places = new BlockPlaces(this.capacity);
    this.ahead = Math.ceil(COMMIT_AHEAD_BYTES / blockBytes);
    this.perSlab = Math.max(1, Math.floor(slabBytes / blockBytes));
  }

  /** From now on, backs the next places by physical memory before their use. Resolves when the first of them are backed. */
  commitAhead(): Promise<void> {
    this.keepsAhead = true;
    this.committing = this.committing.then(() => this.commit());
    return this.committing;
  }

  /** The number of allocated blocks. */
  get size(): number {
    return this.places.size;
  }

  /** The maximum number of allocated blocks: as many as fit the budget, or fewer once the system has run out of memory. */
  get capacityBlocks(): number {
    return this.places.capacityBlocks;
  }

  /** Bytes of all slabs, never more than the budget. Unused parts take up no physical memory unless they were backed ahead. */
  get reservedBytes(): number {
    return this.slabs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Null if the budget is used up, or the system is out of memory. */
  take(): DeviceBlock | null {
    const block = this.places.allocate();
    if (block === null) return null;
    const place = this.places.placeOf(block);
    if (!this.ensureSlab(this.slabOf(place))) {
      // Shrinks the pool for good, so that the failing allocation is not repeated for each block.
      this.places.shrink(this.slabs.length * this.perSlab);
      this.places.free(block);
      return null;
    }
    this.noteUsed(place);
    return block;
  }

  /** Throws `InternalError` if the block was freed before, or belongs to another pool. */
  give(block: DeviceBlock): void {
    this.places.free(block);
  }

  /** The block's memory, in place. Throws `InternalError` if the block is freed. */
  bytes(block: DeviceBlock): Uint8Array {
    const { slab, from } = this.at(this.places.placeOf(block));
    return slab.bytes.subarray(from, from + this.blockBytes);
  }

  /** Where other processes can read the block; null if they cannot. Throws as `bytes` does. */
  sharedPlace(block: DeviceBlock): SharedPlace | null {
    const { slab, from } = this.at(this.places.placeOf(block));
    return slab instanceof SharedMemory ? { fileDescriptor: slab.fileDescriptor, offset: from } : null;
  }

  /** Frees all memory. Throws `InternalError` while blocks are allocated. */
  close(): void {
    this.places.close();
    clearTimeout(this.commitTimer ?? undefined);
    for (const slab of this.slabs.splice(0)) slab.release();
  }

  private noteUsed(place: number): void {
    this.used = Math.max(this.used, place + 1);
    this.committed = Math.max(this.committed, this.used);
    if (this.keepsAhead && this.committed < this.used + this.ahead / 2) this.commitSoon();
  }

  /** Backs the next places after a delay, so that it does not compete with the current burst of allocations. */
  private commitSoon(): void {
    this.commitTimer ??= setTimeout(() => {
      this.commitTimer = null;
      void this.commitAhead();
    }, COMMIT_DELAY_MS).unref();
  }

  private async commit(): Promise<void> {
    while (this.committed < Math.min(this.used + this.ahead, this.capacityBlocks)) {
      if (!this.ensureSlab(this.slabOf(this.committed))) return;
      const { slab, from } = this.at(this.committed);
      const to = Math.min(slab.byteLength, from + this.ahead * this.blockBytes);
      this.committed += (to - from) / this.blockBytes;
      await slab.commit(from, to);
    }
  }

  private at(place: number): { slab: Slab; from: number } {
    return { slab: this.slabs[this.slabOf(place)]!, from: (place % this.perSlab) * this.blockBytes };
  }

  private slabOf(place: number): number {
    return Math.floor(place / this.perSlab);
  }

  /** Reserves slabs up to this one; false if the system is out of memory. All slabs but the last have `perSlab` places. */
  private ensureSlab(index: number): boolean {
    while (this.slabs.length <= index) {
      const blocks = Math.min(this.perSlab, this.capacity - this.slabs.length * this.perSlab);
      const slab = this.reserve(blocks * this.blockBytes);
      if (slab === null) return false;
      this.slabs.push(slab);
    }
    return true;
  }

  private reserve(byteLength: number): Slab | null {
    try {
      return SharedMemory.allocate(byteLength) ?? NativeMemory.allocate(this.runtime, byteLength);
    } catch (error) {
      if (error instanceof OrtError) return null;
      throw error;
    }
  }
}
