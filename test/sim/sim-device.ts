import type { Clock } from '../../src/clock.js';
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
/** Time to copy a block to or from a device that has memory of its own. */
const COPY_MS = 0.2;

export interface SimDeviceOptions {
  readonly capacityBlocks: number;
  readonly slots: number;
  /** Whether the device has memory of its own, which the host cannot see. */
  readonly isRemote: boolean;
  readonly clock: Clock;
  readonly onMisuse: (what: string) => void;
}

export class SimDevice implements Device {
  readonly kind: Device['kind'];
  readonly slots: number;
  readonly layout = SIM_LAYOUT;
  readonly prefillRow = null;
  readonly longestRunTokens = Number.POSITIVE_INFINITY;
  readonly loosePlace = 'cpu';
  private readonly places: BlockPlaces;
  private readonly memories: Uint8Array[] = [];
  private readonly readers = new Map<Uint8Array, number>();
  private readonly placeOf: (block: DeviceBlock) => number;

  constructor(private readonly options: SimDeviceOptions) {
    this.kind = options.isRemote ? 'webgpu' : 'cpu';
    this.slots = options.slots;
    this.places = new BlockPlaces(options.capacityBlocks);
    this.placeOf = (block) => this.places.placeOf(block);
  }

  allocateBlock(): DeviceBlock | null {
    const block = this.places.allocate();
    if (this.places.size > this.options.capacityBlocks) this.options.onMisuse('more blocks than its budget allows');
    return block;
  }

  freeBlock(block: DeviceBlock): void {
    const memory = this.bytes(block);
    if (this.isRead(memory)) this.options.onMisuse('a block was freed while it was read');
    this.places.free(block);
    memory.fill(FREED);
  }

  view(block: DeviceBlock): Uint8Array | null {
    const bytes = this.bytes(block);
    return this.options.isRemote ? null : bytes;
  }

  /** The block's bytes, where the host can see them or not. */
  bytes(block: DeviceBlock): Uint8Array {
    const place = this.placeOf(block);
    const memory = this.memories[place] ?? new Uint8Array(SIM_BLOCK_BYTES);
    this.memories[place] = memory;
    return memory;
  }

  sharedPlace(): null {
    return null;
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    await this.pass();
    this.write(block, bytes);
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    const done = this.read([block]);
    await this.pass();
    into.set(done()[0]!);
  }

  /** Writes a block as the device does. */
  write(block: DeviceBlock, bytes: Uint8Array): void {
    const memory = this.bytes(block);
    if (this.isRead(memory)) this.options.onMisuse('a block was written while it was read');
    memory.set(bytes);
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
      blockBudgetBytes: this.options.capacityBlocks * SIM_BLOCK_BYTES,
      sequenceBytes: 0,
      blocks: this.places.size,
      capacityBlocks: this.options.capacityBlocks,
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

  /** Of any length: the graph bounds the context. Its memory is the runner's. */
  slot(): KvSlot {
    return { capacityTokens: Number.MAX_SAFE_INTEGER };
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

  private isRead(memory: Uint8Array): boolean {
    return (this.readers.get(memory) ?? 0) > 0;
  }

  private pass(): Promise<void> {
    return new Promise((resolve) => this.options.clock.after(COPY_MS, resolve));
  }
}

function noSlots(): never {
  throw new Error('the slots of a simulated device are its runner’s');
}
