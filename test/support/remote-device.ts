import type { CpuDevice } from '../../src/device/cpu/cpu-device.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, KvSlot } from '../../src/device/device.js';
import type { Value } from '../../src/ort/value.js';

/**
 * A device whose blocks the host cannot see, as those of GPUs: the CPU's, with bytes that only `upload` and `download` move, and that take a
 * turn of the event loop to arrive.
 */
export class RemoteDevice implements Device {
  readonly kind = 'webgpu';
  /** Where set, uploads and downloads wait for it. */
  gate: Promise<void> | null = null;
  /** Blocks that it has memory for, where that is less than its budget. */
  capacityBlocks = Number.POSITIVE_INFINITY;
  /** Downloads that were begun. */
  downloads = 0;
  /** Where set, uploads and downloads fail with it. */
  failure: Error | null = null;

  constructor(private readonly inner: CpuDevice) {}

  get layout() {
    return this.inner.layout;
  }
  get slots() {
    return this.inner.slots;
  }
  get longestRunTokens() {
    return this.inner.longestRunTokens;
  }
  get prefillRow() {
    return this.inner.prefillRow;
  }
  get loosePlace(): Device['loosePlace'] {
    return this.inner.loosePlace;
  }
  allocateBlock(): DeviceBlock | null {
    return this.inner.memory().blocks < this.capacityBlocks ? this.inner.allocateBlock() : null;
  }
  freeBlock(block: DeviceBlock): void {
    this.inner.freeBlock(block);
  }
  cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    return this.inner.cut(slot, position, block);
  }
  join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    return this.inner.join(slot, position, blocks);
  }
  view(block: DeviceBlock): null {
    this.inner.view(block);
    return null;
  }
  sharedPlace(block: DeviceBlock): null {
    this.inner.view(block);
    return null;
  }
  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    await this.gate;
    if (this.failure) throw this.failure;
    await this.inner.upload(block, bytes);
  }
  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    this.downloads++;
    await this.gate;
    if (this.failure) throw this.failure;
    await this.inner.download(block, into);
  }
  slot(row: number): KvSlot {
    return this.inner.slot(row);
  }
  rows(first: number, count: number): readonly Value[] {
    return this.inner.rows(first, count);
  }
  moveRow(from: number, to: number, tokens: number): Promise<void> {
    return this.inner.moveRow(from, to, tokens);
  }
  looseSlot(values: readonly Value[]): KvSlot {
    return this.inner.looseSlot(values);
  }
  looseTensors(tokens: number): Promise<readonly Value[]> {
    return this.inner.looseTensors(tokens);
  }
  countRun(): void {}
  memory(): DeviceMemory {
    const memory = this.inner.memory();
    return { ...memory, capacityBlocks: Math.min(memory.capacityBlocks, this.capacityBlocks) };
  }
  copies(): DeviceCopies {
    return this.inner.copies();
  }
  close(): void {
    this.inner.close();
  }
}
