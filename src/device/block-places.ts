import { InternalError } from '../errors.js';
import type { DeviceBlock } from './device.js';

/** One lease of a place. A later lease of the same place is another block. */
class PlacedBlock implements DeviceBlock {
  constructor(
    readonly id: number,
    readonly places: BlockPlaces,
    /** Null once it is freed. */
    public place: number | null,
  ) {}
}

/** Leases of numbered places for blocks, of which a device has so many. Knows nothing of their memory. */
export class BlockPlaces {
  /** Places that were used and freed, the last one on top: its memory is the likeliest to be in the processor's cache. */
  private readonly free: number[] = [];
  private fresh = 0;
  private limit: number;
  private inUse = 0;
  private nextId = 0;

  constructor(capacity: number) {
    this.limit = capacity;
  }

  /** Blocks in use. */
  get size(): number {
    return this.inUse;
  }

  /** Blocks that may be in use at once, as of now. */
  get capacityBlocks(): number {
    return this.limit;
  }

  /** Null when all places are taken. */
  take(): DeviceBlock | null {
    const place = this.free.pop() ?? this.freshPlace();
    if (place === null) return null;
    this.inUse += 1;
    this.nextId += 1;
    return new PlacedBlock(this.nextId, this, place);
  }

  /** Throws `InternalError` if it was freed before, or is of another device. */
  give(block: DeviceBlock): void {
    const place = this.placeOf(block);
    if (place < this.limit) this.free.push(place);
    (block as PlacedBlock).place = null;
    this.inUse -= 1;
  }

  /** The number of the block's place. Throws `InternalError` if it is not in use. */
  placeOf(block: DeviceBlock): number {
    if (!(block instanceof PlacedBlock) || block.places !== this) {
      throw new InternalError(`block ${block.id} is of another device`);
    }
    if (block.place === null) throw new InternalError(`block ${block.id} was used after it was freed`);
    return block.place;
  }

  /** From now on there are no places from `limit` on: those that are in use are not taken back into use. */
  shrink(limit: number): void {
    this.limit = Math.min(this.limit, limit);
    const kept = this.free.filter((place) => place < this.limit);
    this.free.splice(0, this.free.length, ...kept);
  }

  /** No more places. Throws `InternalError` while blocks are in use. */
  close(): void {
    if (this.size > 0) throw new InternalError(`a device was closed while ${this.size} of its blocks are in use`);
    this.shrink(0);
  }

  private freshPlace(): number | null {
    if (this.fresh >= this.limit) return null;
    this.fresh += 1;
    return this.fresh - 1;
  }
}
