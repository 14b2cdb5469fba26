import type { SharedPlace } from '../core/shared-place.js';
import { SharedMemory } from '../native/shared-memory.js';
import { NativeMemory } from '../ort/memory.js';
import { OrtError } from '../ort/ort-error.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { BlockPlaces } from './block-places.js';
import type { DeviceBlock } from './device.js';

/**
 * Memory for blocks of the host is taken in slabs of about this size. At first it is only reserved, and takes up no memory until it is used. So
 * slabs are as large as one view on Node 20 may show by half: the collector counts each as memory of its own, and goes through the whole heap
 * whenever there is much more of that.
 * @internal tests check that views of it are shared
 */
export const HOST_SLAB_BYTES = 2048 * 2 ** 20;
/** Memory of blocks that is had from the system before it is needed. */
const COMMIT_AHEAD_BYTES = 64 * 2 ** 20;
/** So long after some of it was used up. */
const COMMIT_DELAY_MS = 200;

type Slab = SharedMemory | NativeMemory;

/** Blocks of equal size in host memory, which other processes of the host can read where the system has such memory, up to a budget in bytes. Memory is reserved in slabs, when it is first needed, and given back by `close`. */
export class BlockPool {
  private readonly slabs: Slab[] = [];
  private readonly places: BlockPlaces;
  private readonly capacity: number;
  private readonly perSlab: number;
  /** Places that were in use so far are those before this one. */
  private used = 0;
  /** Places before this one have memory, or it is being had, before anybody writes to it. */
  private committed = 0;
  private readonly ahead: number;
  private keepsAhead = false;
  private due: NodeJS.Timeout | null = null;
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

  /** From now on, gets real memory for the blocks that will be taken next, so that whoever takes them need not wait for it. Resolves when it is there. */
  commitAhead(): Promise<void> {
    this.keepsAhead = true;
    this.committing = this.committing.then(() => this.commit());
    return this.committing;
  }

  /** Blocks in use. */
  get size(): number {
    return this.places.size;
  }

  /** Blocks that may be in use at once: what the budget has room for, and fewer once the system turns out to have less memory than that. */
  get capacityBlocks(): number {
    return this.places.capacityBlocks;
  }

  /** Memory reserved so far, never more than the budget. What of it was not used yet takes up nothing. */
  get reservedBytes(): number {
    return this.slabs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Null when the budget is used up, or the system has no more memory. */
  take(): DeviceBlock | null {
    const block = this.places.take();
    if (block === null) return null;
    const place = this.places.placeOf(block);
    if (!this.haveSlab(this.slabOf(place))) {
      // What the system has no memory for now, it is not asked for again and again.
      this.places.shrink(this.slabs.length * this.perSlab);
      this.places.give(block);
      return null;
    }
    this.use(place);
    return block;
  }

  /** Throws `InternalError` if it was freed before, or is of another pool. */
  give(block: DeviceBlock): void {
    this.places.give(block);
  }

  /** The block's memory, in place. Throws `InternalError` if it is not in use. */
  bytes(block: DeviceBlock): Uint8Array {
    const { slab, from } = this.at(this.places.placeOf(block));
    return slab.bytes.subarray(from, from + this.blockBytes);
  }

  /** Where other processes find it; null where they cannot. Throws as `bytes` does. */
  sharedPlace(block: DeviceBlock): SharedPlace | null {
    const { slab, from } = this.at(this.places.placeOf(block));
    return slab instanceof SharedMemory ? { fileDescriptor: slab.fileDescriptor, offset: from } : null;
  }

  /** Gives all memory back. Throws `InternalError` while blocks are in use. */
  close(): void {
    this.places.close();
    clearTimeout(this.due ?? undefined);
    for (const slab of this.slabs.splice(0)) slab.release();
  }

  private use(place: number): void {
    this.used = Math.max(this.used, place + 1);
    this.committed = Math.max(this.committed, this.used);
    if (this.keepsAhead && this.committed < this.used + this.ahead / 2) this.commitSoon();
  }

  /** Not at once: what takes blocks now is in a hurry, and needs the processor and the memory itself. */
  private commitSoon(): void {
    this.due ??= setTimeout(() => {
      this.due = null;
      void this.commitAhead();
    }, COMMIT_DELAY_MS).unref();
  }

  private async commit(): Promise<void> {
    while (this.committed < Math.min(this.used + this.ahead, this.capacityBlocks)) {
      if (!this.haveSlab(this.slabOf(this.committed))) return;
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

  /** Reserves slabs up to this one, as far as the system lets it; all but the last one have `#perSlab` places. */
  private haveSlab(index: number): boolean {
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
