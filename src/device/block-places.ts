import { InternalError } from '../errors.js';
import type { DeviceBlock } from './device.js';

/** The numbered places in which a device keeps its blocks. Their memory is the device's concern. */

/** One allocation of a place. A later allocation of the same place is another block. */
class PlacedBlock implements DeviceBlock {
  constructor(
    readonly id: number,
    readonly places: BlockPlaces,
    /** Null once the block is freed. */
    public place: number | null,
  ) {}
}

/** An allocator of the places `[0, capacity)`. */
export class BlockPlaces {
  /** Freed places. The last one freed is reused first, because its memory is the most likely to be in the processor's cache. */
  private readonly freed: number[] = [];
  /** Places from this one on were never used. */
  private fresh = 0;
  private limit: number;
  private inUse = 0;
  private nextId = 0;

  constructor(capacity: number) {
    this.limit = capacity;
  }

  /** The number of allocated blocks. */
  get size(): number {
    return this.inUse;
  }

  /** The maximum number of allocated blocks; see `shrink`. */
  get capacityBlocks(): number {
    return this.limit;
  }

  /** Null if no place is free. */
  allocate(): DeviceBlock | null {
    const place = this.freed.pop() ?? this.freshPlace();
    if (place === null) return null;
    this.inUse += 1;
    this.nextId += 1;
    return new PlacedBlock(this.nextId, this, place);
  }

  /** Throws `InternalError` if the block was freed before, or belongs to another device. */
  free(block: DeviceBlock): void {
    const place = this.placeOf(block);
    if (place < this.limit) this.freed.push(place);
    (block as PlacedBlock).place = null;
    this.inUse -= 1;
  }

  /** The place of a block. Throws `InternalError` if the block is freed or belongs to another device. */
  placeOf(block: DeviceBlock): number {
    if (!(block instanceof PlacedBlock) || block.places !== this) {
      throw new InternalError(`block ${block.id} belongs to another device`);
    }
    if (block.place === null) throw new InternalError(`block ${block.id} was used after it was freed`);
    return block.place;
  }

  /** Removes the places from `limit` on. Blocks in them stay valid; once freed, their places are not reused. */
  shrink(limit: number): void {
    this.limit = Math.min(this.limit, limit);
    const kept = this.freed.filter((place) => place < this.limit);
    this.freed.splice(0, this.freed.length, ...kept);
  }

  /** Removes all places. Throws `InternalError` while blocks are allocated. */
  close(): void {
    if (this.size > 0) throw new InternalError(`cannot close a device: ${this.size} of its blocks are in use`);
    this.shrink(0);
  }

  private freshPlace(): number | null {
    if (this.fresh >= this.limit) return null;
    this.fresh += 1;
    return this.fresh - 1;
  }
}
