import type { SharedPlace } from '../core/shared-place.js';
import { InternalError } from '../errors.js';
import { COMMIT_AHEAD_BYTES, COMMIT_DELAY_MS, HOST_SLAB_BYTES } from '../limits.js';
import { SharedMemory } from '../native/shared-memory.js';
import { NativeMemory } from '../ort/memory.js';
import type { OrtRuntime } from '../ort/runtime.js';
import type { DeviceBlock } from './device.js';

/** Room for one block in a slab. */
interface Place {
  readonly bytes: Uint8Array;
  readonly shared: SharedPlace | null;
}

/** One lease of a place in the pool. A later lease of the same place is another block. */
class PoolBlock implements DeviceBlock {
  constructor(
    readonly id: number,
    readonly pool: BlockPool,
    /** Null once it is freed. */
    public place: Place | null,
  ) {}
}

/** Blocks of equal size in host memory, which other processes of the host can read where the system has such memory, up to a budget in bytes. Memory is reserved in slabs, when it is first needed, and given back by `close`. */
export class BlockPool {
  readonly #slabs: (SharedMemory | NativeMemory)[] = [];
  /** Places that were used and freed, the last one on top: its memory is the likeliest to be in the processor's cache. */
  readonly #free: Place[] = [];
  readonly #capacity: number;
  #inUse = 0;
  /** Places cut out of slabs so far. */
  #places = 0;
  #slabEnd = 0;
  /** Places whose memory is there, or is being had, before anybody writes to it. */
  #committed = 0;
  #keepsAhead = false;
  #due: NodeJS.Timeout | null = null;
  #committing: Promise<void> = Promise.resolve();
  readonly #ahead: number;
  readonly #perSlab: number;
  #nextId = 0;

  constructor(
    private readonly runtime: OrtRuntime,
    private readonly blockBytes: number,
    budgetBytes: number,
    slabBytes: number = HOST_SLAB_BYTES,
  ) {
    this.#capacity = Math.floor(budgetBytes / blockBytes);
    this.#ahead = Math.ceil(COMMIT_AHEAD_BYTES / blockBytes);
    this.#perSlab = Math.max(1, Math.floor(slabBytes / blockBytes));
  }

  /** From now on, gets real memory for the blocks that will be taken next, so that whoever takes them need not wait for it. Resolves when it is there. */
  commitAhead(): Promise<void> {
    this.#keepsAhead = true;
    this.#committing = this.#committing.then(() => this.#commit());
    return this.#committing;
  }

  /** Blocks in use. */
  get size(): number {
    return this.#inUse;
  }

  /** Blocks that may be in use at once. */
  get capacityBlocks(): number {
    return this.#capacity;
  }

  /** Memory reserved so far, never more than the budget. What of it was not used yet takes up nothing. */
  get reservedBytes(): number {
    return this.#slabEnd * this.blockBytes;
  }

  /** Null when the budget is used up. */
  take(): DeviceBlock | null {
    const place = this.#free.pop() ?? this.#freshPlace();
    if (place === null) return null;
    this.#inUse += 1;
    this.#nextId += 1;
    return new PoolBlock(this.#nextId, this, place);
  }

  /** Throws `InternalError` if it was freed before, or is of another pool. */
  give(block: DeviceBlock): void {
    const own = this.#own(block);
    this.#free.push(own.place);
    (own as PoolBlock).place = null;
    this.#inUse -= 1;
  }

  /** The block's memory, in place. Throws `InternalError` if it is not in use. */
  bytes(block: DeviceBlock): Uint8Array {
    return this.#own(block).place.bytes;
  }

  /** Where other processes find it; null where they cannot. Throws as `bytes` does. */
  sharedPlace(block: DeviceBlock): SharedPlace | null {
    return this.#own(block).place.shared;
  }

  /** Gives all memory back. Throws `InternalError` while blocks are in use. */
  close(): void {
    if (this.size > 0) throw new InternalError(`a device was closed while ${this.size} of its blocks are in use`);
    clearTimeout(this.#due ?? undefined);
    this.#free.length = 0;
    this.#places = this.#capacity;
    this.#committed = this.#capacity;
    this.#slabEnd = 0;
    for (const slab of this.#slabs.splice(0)) slab.release();
  }

  #own(block: DeviceBlock): PoolBlock & { place: Place } {
    if (!(block instanceof PoolBlock) || block.pool !== this) {
      throw new InternalError(`block ${block.id} is of another device`);
    }
    if (block.place === null) throw new InternalError(`block ${block.id} was used after it was freed`);
    return block as PoolBlock & { place: Place };
  }

  #freshPlace(): Place | null {
    if (this.#places >= this.#capacity) return null;
    const { slab, from } = this.#placeAt(this.#places);
    this.#places += 1;
    this.#committed = Math.max(this.#committed, this.#places);
    if (this.#keepsAhead && this.#committed < this.#places + this.#ahead / 2) this.#commitSoon();
    const shared = slab instanceof SharedMemory ? { fileDescriptor: slab.fileDescriptor, offset: from } : null;
    return { bytes: slab.bytes.subarray(from, from + this.blockBytes), shared };
  }

  /** Not at once: what takes blocks now is in a hurry, and needs the processor and the memory itself. */
  #commitSoon(): void {
    this.#due ??= setTimeout(() => {
      this.#due = null;
      void this.commitAhead();
    }, COMMIT_DELAY_MS).unref();
  }

  async #commit(): Promise<void> {
    while (this.#committed < Math.min(this.#places + this.#ahead, this.#capacity)) {
      const { slab, from } = this.#placeAt(this.#committed);
      const to = Math.min(slab.byteLength, from + this.#ahead * this.blockBytes);
      this.#committed += (to - from) / this.blockBytes;
      await slab.commit(from, to);
    }
  }

  /** Where a place is. Slabs up to it are made as needed; all but the last one have `#perSlab` places. */
  #placeAt(place: number): { slab: SharedMemory | NativeMemory; from: number } {
    while (place >= this.#slabEnd) this.#addSlab();
    return { slab: this.#slabs[Math.floor(place / this.#perSlab)]!, from: (place % this.#perSlab) * this.blockBytes };
  }

  #addSlab(): void {
    const blocks = Math.min(this.#perSlab, this.#capacity - this.#slabEnd);
    const byteLength = blocks * this.blockBytes;
    this.#slabs.push(SharedMemory.allocate(byteLength) ?? NativeMemory.allocate(this.runtime, byteLength));
    this.#slabEnd += blocks;
  }
}
