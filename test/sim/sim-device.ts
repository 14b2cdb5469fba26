import type { KvLayout } from '../../src/core/kv-layout.js';
import { BlockPlaces } from '../../src/device/block-places.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, KvSlot } from '../../src/device/device.js';
import { BLOCK_TOKENS } from '../../src/limits.js';
import { SIM_BLOCK_BYTES } from './sim-model.js';

/** A simulated device: memory for blocks, which it watches for use after it was freed and for writing while it is read. */

export const SIM_LAYOUT: KvLayout = {
  layers: 1,
  kvHeads: 1,
  headDim: 1,
  blockTokens: BLOCK_TOKENS,
  elementType: 'float32',
};

/** What freed memory is filled with. */
const FREED = 0xdd;

export class SimDevice implements Device {
  readonly kind = 'cpu';
  readonly layout = SIM_LAYOUT;
  readonly prefillRow = null;
  readonly loosePlace = 'cpu';
  private readonly places: BlockPlaces;
  private readonly memories: Uint8Array[] = [];
  private readonly readers = new Map<Uint8Array, number>();
  private readonly placeOf: (block: DeviceBlock) => number;

  constructor(
    private readonly capacityBlocks: number,
    readonly slots: number,
    private readonly onMisuse: (what: string) => void,
  ) {
    this.places = new BlockPlaces(capacityBlocks);
    this.placeOf = (block) => this.places.placeOf(block);
  }

  allocateBlock(): DeviceBlock | null {
    const block = this.places.allocate();
    if (this.places.size > this.capacityBlocks) this.onMisuse('more blocks than its budget allows');
    return block;
  }

  freeBlock(block: DeviceBlock): void {
    const memory = this.bytes(block);
    if ((this.readers.get(memory) ?? 0) > 0) this.onMisuse('a block was freed while it was read');
    this.places.free(block);
    memory.fill(FREED);
  }

  view(block: DeviceBlock): Uint8Array {
    return this.bytes(block);
  }

  sharedPlace(): null {
    return null;
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    this.bytes(block).set(bytes);
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    into.set(this.bytes(block));
  }

  /** Marks blocks as read until the result is called, which gives their bytes. */
  read(blocks: readonly DeviceBlock[]): () => Uint8Array[] {
    const memories = blocks.map((block) => this.bytes(block));
    for (const memory of memories) this.readers.set(memory, (this.readers.get(memory) ?? 0) + 1);
    return () => {
      for (const memory of memories) this.readers.set(memory, this.readers.get(memory)! - 1);
      return memories;
    };
  }

  memory(): DeviceMemory {
    return {
      blockBytes: this.places.size * SIM_BLOCK_BYTES,
      blockBudgetBytes: this.capacityBlocks * SIM_BLOCK_BYTES,
      sequenceBytes: 0,
      blocks: this.places.size,
      capacityBlocks: this.capacityBlocks,
    };
  }

  copies(): DeviceCopies {
    return { h2d: 0, d2h: 0, d2d: 0 };
  }

  countRun(): void {}

  close(): void {
    this.places.close();
  }

  cut(): never {
    return noSlots();
  }

  join(): never {
    return noSlots();
  }

  slot(): KvSlot {
    return noSlots();
  }

  rows(): never {
    return noSlots();
  }

  moveRow(): never {
    return noSlots();
  }

  looseSlot(): never {
    return noSlots();
  }

  looseTensors(): never {
    return noSlots();
  }

  private bytes(block: DeviceBlock): Uint8Array {
    const place = this.placeOf(block);
    const memory = this.memories[place] ?? new Uint8Array(SIM_BLOCK_BYTES);
    this.memories[place] = memory;
    return memory;
  }
}

function noSlots(): never {
  throw new Error('the slots of a simulated device are its runner’s');
}
