import { blockBytes, checkBlockBytes, type KvLayout } from '../../core/kv-layout.js';
import { InternalError, Refused, Unavailable } from '../../errors.js';
import type { DeviceAllocation, DeviceAllocator } from '../../ort/device-memory.js';
import type { Provider } from '../../ort/provider.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import { Value } from '../../ort/value.js';
import { BlockPlaces } from '../block-places.js';
import { CopyCounter } from '../copy-counter.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, DeviceOptions, KvSlot } from '../device.js';
import { type Slot, Slots } from '../slots.js';
import { type KvRow, WebGpuCopier } from './copier.js';
import { footprintBytes } from './footprint.js';
import { type WordLayout, wordLayout } from './graphs.js';
import { OwnKvBuffers, piecesShape } from './kv-buffers.js';
import { longestRightRunTokens } from './run-limit.js';
import { vulkanAdapters } from './vulkan.js';

/** A GPU as a device, by ONNX Runtime's WebGPU provider. */

export interface WebGpuDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
  readonly provider: Provider & { readonly name: 'webgpu' };
}

/** The device's graphs index pieces with signed 32-bit integers. */
const MAX_PIECES = 2 ** 31;

/** Where a slot's K/V is: in a row of the device's buffers, or in tensors of a hand-on graph. */
type SlotMemory =
  | { readonly kind: 'row'; readonly row: KvRow }
  | { readonly kind: 'loose'; readonly values: readonly Value[] };

/**
 * A device in WebGPU memory. A tensor can start only at the start of a WebGPU buffer. So a view of decoding rows starts at row 0 of the batch's buffers, a sequence is
 * prefilled in the single row of separate buffers, and each block has its own buffer. A mutex serializes all use of the device.
 */
export class WebGpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly layout: KvLayout;
  readonly slots: number;
  readonly prefillRow: number;
  readonly longestRunTokens = longestRightRunTokens(vulkanAdapters());
  private readonly words: WordLayout;
  private readonly capacityTokens: number;
  private readonly blockBudgetBytes: number;
  private readonly places: BlockPlaces;
  /** The blocks' memory by place; undefined for places that were never used. */
  private readonly blocks: (DeviceAllocation | undefined)[] = [];
  private readonly _rows = new Map<string, readonly Value[]>();
  private readonly _slots: Slots<SlotMemory>;
  private closed = false;

  /** Throws `Refused` if the layout is not supported, or the device has not enough memory for the slots. */
  static async open(options: WebGpuDeviceOptions): Promise<WebGpuDevice> {
    const { runtime, layout, provider, slots, capacityTokens } = options;
    const words = wordLayout(layout);
    if (slots * layout.kvHeads * capacityTokens * words.piecesPerToken >= MAX_PIECES) {
      throw new Refused(
        `cannot allocate ${slots} slots of ${capacityTokens} tokens on the webgpu device: they exceed 32-bit indices; set fewer --sequences or a smaller --context`,
      );
    }
    const counter = new CopyCounter();
    const copier = await WebGpuCopier.open(runtime, words, provider, capacityTokens, counter);
    try {
      const allocate = (rows: number) => OwnKvBuffers.allocate(copier.memory, words, rows, capacityTokens);
      return await copier.exclusive(async () => {
        const batch = await allocate(slots);
        try {
          return new WebGpuDevice(options, words, copier, counter, batch, await allocate(1));
        } catch (error) {
          batch.release();
          throw error;
        }
      });
    } catch (cause) {
      copier.release();
      if (!(cause instanceof Unavailable)) throw cause;
      const bytes = (slots + 1) * (blockBytes(layout) / layout.blockTokens) * capacityTokens;
      throw new Refused(
        `cannot allocate ${slots} slots of ${capacityTokens} tokens on the webgpu device: out of memory for ${bytes} bytes in ${2 * words.tensors} buffers; set fewer --sequences or a smaller --context`,
        { cause },
      );
    }
  }

  private constructor(
    { layout, slots, capacityTokens, blockBudgetBytes }: DeviceOptions,
    words: WordLayout,
    private readonly copier: WebGpuCopier,
    private readonly counter: CopyCounter,
    private readonly batch: OwnKvBuffers,
    private readonly single: OwnKvBuffers,
  ) {
    this.layout = layout;
    this.slots = slots;
    this.prefillRow = slots;
    this.words = words;
    this.capacityTokens = capacityTokens;
    this.blockBudgetBytes = blockBudgetBytes;
    this.places = new BlockPlaces(Math.floor(blockBudgetBytes / footprintBytes(blockBytes(layout))));
    const row = (buffers: OwnKvBuffers, index: number): SlotMemory => ({ kind: 'row', row: { buffers, row: index } });
    const rows = [...Array.from({ length: slots }, (_, index) => row(batch, index)), row(single, 0)];
    this._slots = new Slots(layout, capacityTokens, rows);
  }

  get loosePlace(): DeviceAllocator {
    return this.copier.allocator;
  }

  allocateBlock(): DeviceBlock | null {
    return this.places.allocate();
  }

  freeBlock(block: DeviceBlock): void {
    this.places.free(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const own = this._slots.withRoom(slot, position, 1);
    const place = this.places.placeOf(block);
    await this.copier.exclusive(async () => {
      const memory = await this.memoryAt(place);
      await this.withRow(own, (row) => this.copier.cut(row, position, memory));
    });
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this._slots.withRoom(slot, position, blocks.length);
    // All or nothing: a freed block throws before any block is copied.
    const places = blocks.map((block) => this.places.placeOf(block));
    await this.copier.exclusive(() =>
      this.withRow(own, async (row) => {
        for (const [index, place] of places.entries()) {
          const memory = await this.memoryAt(place);
          await this.copier.join(memory, row, position + index * this.layout.blockTokens);
        }
      }),
    );
  }

  view(block: DeviceBlock): null {
    this.places.placeOf(block);
    return null;
  }

  sharedPlace(block: DeviceBlock): null {
    this.places.placeOf(block);
    return null;
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    checkBlockBytes(this.layout, bytes);
    await this.withBytes(block, (value) => this.copier.memory.upload(bytes, value));
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    checkBlockBytes(this.layout, into);
    await this.withBytes(block, (value) => this.copier.memory.download(value, into));
  }

  slot(row: number): KvSlot {
    return this._slots.row(row);
  }

  rows(first: number, count: number): readonly Value[] {
    const single = first === this.prefillRow && count === 1;
    if (!single && !(first === 0 && count >= 1 && count <= this.slots)) {
      throw new InternalError(
        `cannot view rows ${first} to ${first + count}: a view has up to ${this.slots} rows from row 0 on, or row ${this.prefillRow} alone`,
      );
    }
    const key = single ? 'single' : String(count);
    const cached = this._rows.get(key);
    if (cached !== undefined) return cached;
    const { kvHeads, headDim, elementType } = this.layout;
    const shape = [count, kvHeads, this.capacityTokens, headDim];
    const { memories } = single ? this.single : this.batch;
    const values = memories.map((memory) => Value.view(memory, 0, elementType, shape));
    this._rows.set(key, values);
    return values;
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const [source, target] = this._slots.pair(from, to, tokens);
    await this.copier.exclusive(() =>
      this.withRow(source, (fromRow) => this.withRow(target, (toRow) => this.copier.move(fromRow, toRow, tokens))),
    );
  }

  looseSlot(values: readonly Value[]): KvSlot {
    return this._slots.loose(values, { kind: 'loose', values });
  }

  looseTensors(tokens: number): Promise<readonly Value[]> {
    const { layers, kvHeads, headDim, elementType } = this.layout;
    const bytes = Math.max(1, blockBytes({ ...this.layout, layers: 1, blockTokens: tokens }) / 2);
    return this.copier.exclusive(async () => {
      const values: Value[] = [];
      try {
        for (let tensor = 0; tensor < 2 * layers; tensor += 1) {
          const memory = await this.copier.memory.allocate(bytes);
          values.push(Value.view(memory, 0, elementType, [1, kvHeads, tokens, headDim]));
          memory.release();
        }
        return values;
      } catch (error) {
        for (const value of values) value.release();
        throw error;
      }
    });
  }

  countRun(inBytes: number, outBytes: number): void {
    this.counter.h2d += inBytes;
    this.counter.d2h += outBytes;
  }

  copies(): DeviceCopies {
    return this.counter.snapshot();
  }

  memory(): DeviceMemory {
    const blocks = this.places.size;
    const buffers = this.closed ? [] : [...this.batch.memories, ...this.single.memories];
    return {
      blockBytes: blocks * footprintBytes(blockBytes(this.layout)),
      blockBudgetBytes: this.blockBudgetBytes,
      sequenceBytes: buffers.reduce((sum, { byteLength }) => sum + footprintBytes(byteLength), 0),
      blocks,
      capacityBlocks: this.places.capacityBlocks,
    };
  }

  close(): void {
    this.places.close();
    if (this.closed) return;
    this.closed = true;
    for (const values of this._rows.values()) for (const value of values) value.release();
    this._slots.close();
    for (const memory of this.blocks) memory?.release();
    this.batch.release();
    this.single.release();
    this.copier.release();
  }

  /** The memory of a place, allocated on first use. The caller holds the device's lock. */
  private async memoryAt(place: number): Promise<DeviceAllocation> {
    const known = this.blocks[place];
    if (known !== undefined) return known;
    try {
      const memory = await this.copier.memory.allocate(blockBytes(this.layout));
      this.blocks[place] = memory;
      return memory;
    } catch (error) {
      // Shrinks the device for good, so that the failing allocation is not repeated for each block.
      this.places.shrink(place);
      throw error;
    }
  }

  private async withBytes(block: DeviceBlock, use: (value: Value) => Promise<void>): Promise<void> {
    const place = this.places.placeOf(block);
    await this.copier.exclusive(async () => {
      const value = Value.view(await this.memoryAt(place), 0, 'int32', [blockBytes(this.layout) / 4]);
      try {
        await use(value);
      } finally {
        value.release();
      }
    });
  }

  /** Passes a slot's K/V to `use` in the form that the copier takes. */
  private async withRow({ at, capacityTokens }: Slot<SlotMemory>, use: (row: KvRow) => Promise<void>): Promise<void> {
    if (at.kind === 'row') return use(at.row);
    const shape = piecesShape(this.words, 1, capacityTokens);
    const pieces = at.values.map((value) => Value.reinterpret(this.copier.allocator, value, 'int32', shape));
    try {
      await use({ buffers: { capacityTokens, pieces }, row: 0 });
    } finally {
      for (const value of pieces) value.release();
    }
  }
}
