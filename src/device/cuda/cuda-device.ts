import { blockBytes, checkBlockBytes, ELEMENT_BYTES, type KvLayout } from '../../core/kv-layout.js';
import { smallModel } from '../../model/onnx/small-model.js';
import type { Pointer } from '../../native/ffi.js';
import { type DeviceAllocation, DeviceAllocator } from '../../ort/device-memory.js';
import { OrtError } from '../../ort/ort-error.js';
import type { Provider } from '../../ort/provider.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import type { Session } from '../../ort/session.js';
import { Value } from '../../ort/value.js';
import { BlockPlaces } from '../block-places.js';
import { CopyCounter } from '../copy-counter.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, DeviceOptions, KvSlot } from '../device.js';
import { RowBuffers } from '../row-buffers.js';
import { Slots } from '../slots.js';
import type { CudaRuntime } from './cuda-runtime.js';

/** An NVIDIA GPU as a device, by ONNX Runtime's CUDA provider. */

/** Device memory for blocks is allocated in slabs of about this size, within the budget. */
const SLAB_BYTES = 256 * 2 ** 20;

export interface CudaDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
  readonly provider: Provider & { readonly name: 'cuda' };
  readonly cuda: CudaRuntime;
  /** The size of an allocation for blocks. Default: 256 MiB. */
  readonly slabBytes?: number;
}

/** A graph that is never run: its session provides the provider's allocator. */
const UNUSED_GRAPH = smallModel({
  inputs: [{ name: 'in', type: 'float32', dims: [1] }],
  outputs: [{ name: 'out', type: 'float32', dims: [1] }],
  constants: {},
  nodes: [{ op: 'Neg', inputs: ['in'], outputs: ['out'] }],
});

/**
 * A device in CUDA memory. Slots are rows of one buffer per tensor, blocks lie in slabs, and the CUDA runtime copies between them with
 * pitched copies.
 */
export class CudaDevice implements Device {
  readonly kind = 'cuda';
  readonly layout: KvLayout;
  readonly slots: number;
  readonly prefillRow = null;
  readonly longestRunTokens = Number.POSITIVE_INFINITY;
  private readonly blockBudgetBytes: number;
  private readonly cuda: CudaRuntime;
  private readonly places: BlockPlaces;
  private readonly perSlab: number;
  private readonly capacity: number;
  private readonly slabs: DeviceAllocation[] = [];
  private readonly buffers: RowBuffers<DeviceAllocation>;
  /** Each slot has the addresses of its tensors `[kvHeads, capacityTokens, headDim]`. */
  private readonly _slots: Slots<readonly Pointer[]>;
  private readonly copied = new CopyCounter();
  /** Size of one head's K or V of one token. */
  private readonly tokenBytes: number;
  /** The same of one block. */
  private readonly runBytes: number;

  /** Throws `Refused` if the device has not enough memory for the slots. */
  static async open(options: CudaDeviceOptions): Promise<CudaDevice> {
    const { runtime, provider } = options;
    const session = await runtime.openSession(UNUSED_GRAPH, { intraOpThreads: 1, allowSpinning: false, provider });
    let allocator: DeviceAllocator | null = null;
    try {
      allocator = new DeviceAllocator(session, 'cuda');
      return new CudaDevice(options, session, allocator);
    } catch (error) {
      allocator?.release();
      session.release();
      throw error;
    }
  }

  private constructor(
    options: CudaDeviceOptions,
    private readonly session: Session,
    readonly loosePlace: DeviceAllocator,
  ) {
    const { layout, slots, capacityTokens, blockBudgetBytes, cuda, slabBytes = SLAB_BYTES } = options;
    this.layout = layout;
    this.slots = slots;
    this.blockBudgetBytes = blockBudgetBytes;
    this.cuda = cuda;
    this.tokenBytes = layout.headDim * ELEMENT_BYTES[layout.elementType];
    this.runBytes = layout.blockTokens * this.tokenBytes;
    const bytes = blockBytes(layout);
    this.capacity = Math.floor(blockBudgetBytes / bytes);
    this.perSlab = Math.max(1, Math.floor(slabBytes / bytes));
    this.places = new BlockPlaces(this.capacity);
    this.buffers = new RowBuffers(this.kind, options, (byteLength) => loosePlace.allocate(byteLength));
    const rows = this.buffers.map((buffer, from) => buffer.address(from));
    this._slots = new Slots(layout, capacityTokens, rows);
  }

  allocateBlock(): DeviceBlock | null {
    const block = this.places.allocate();
    if (block === null) return null;
    const place = this.places.placeOf(block);
    if (this.ensureSlab(Math.floor(place / this.perSlab))) return block;
    // Shrinks the device for good, so that the failing allocation is not repeated for each block.
    this.places.shrink(this.slabs.length * this.perSlab);
    this.places.free(block);
    return null;
  }

  freeBlock(block: DeviceBlock): void {
    this.places.free(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const { at: tensors, capacityTokens } = this._slots.withRoom(slot, position, 1);
    let to = this.addressOf(block);
    for (const tensor of tensors) {
      const from = { address: tensor + position * this.tokenBytes, pitchBytes: capacityTokens * this.tokenBytes };
      this.cuda.copy({ address: to, pitchBytes: this.runBytes }, from, this.runBytes, this.layout.kvHeads);
      to += this.layout.kvHeads * this.runBytes;
    }
    this.copied.d2d += blockBytes(this.layout);
    await this.cuda.finish();
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const { at: tensors, capacityTokens } = this._slots.withRoom(slot, position, blocks.length);
    // All or nothing: a freed block throws before any block is copied.
    const sources = blocks.map((block) => this.addressOf(block));
    const pitchBytes = capacityTokens * this.tokenBytes;
    for (const [index, source] of sources.entries()) {
      const at = (position + index * this.layout.blockTokens) * this.tokenBytes;
      for (const [n, tensor] of tensors.entries()) {
        const from = { address: source + n * this.layout.kvHeads * this.runBytes, pitchBytes: this.runBytes };
        this.cuda.copy({ address: tensor + at, pitchBytes }, from, this.runBytes, this.layout.kvHeads);
      }
      this.copied.d2d += blockBytes(this.layout);
    }
    await this.cuda.finish();
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
    await this.cuda.upload(this.addressOf(block), bytes);
    this.copied.h2d += bytes.length;
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    checkBlockBytes(this.layout, into);
    await this.cuda.download(this.addressOf(block), into);
    this.copied.d2h += into.length;
  }

  slot(row: number): KvSlot {
    return this._slots.row(row);
  }

  rows(first: number, count: number): readonly Value[] {
    return this.buffers.view(first, count);
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const [source, target] = this._slots.pair(from, to, tokens);
    const pitchBytes = source.capacityTokens * this.tokenBytes;
    const rowBytes = tokens * this.tokenBytes;
    for (const [n, tensor] of source.at.entries()) {
      const into = { address: target.at[n]!, pitchBytes };
      this.cuda.copy(into, { address: tensor, pitchBytes }, rowBytes, this.layout.kvHeads);
      this.copied.d2d += this.layout.kvHeads * rowBytes;
    }
    await this.cuda.finish();
  }

  looseSlot(values: readonly Value[]): KvSlot {
    return this._slots.loose(
      values,
      values.map((value) => value.address),
    );
  }

  async looseTensors(tokens: number): Promise<readonly Value[]> {
    const { layers, kvHeads, headDim, elementType } = this.layout;
    const bytes = Math.max(1, kvHeads * tokens * this.tokenBytes);
    const values: Value[] = [];
    try {
      for (let tensor = 0; tensor < 2 * layers; tensor += 1) {
        const memory = this.loosePlace.allocate(bytes);
        values.push(Value.view(memory, 0, elementType, [1, kvHeads, tokens, headDim]));
        memory.release();
      }
      return values;
    } catch (error) {
      for (const value of values) value.release();
      throw error;
    }
  }

  countRun(inBytes: number, outBytes: number): void {
    this.copied.h2d += inBytes;
    this.copied.d2h += outBytes;
  }

  copies(): DeviceCopies {
    return this.copied.snapshot();
  }

  memory(): DeviceMemory {
    const blocks = this.places.size;
    return {
      blockBytes: blocks * blockBytes(this.layout),
      blockBudgetBytes: this.blockBudgetBytes,
      sequenceBytes: this.buffers.byteLength,
      blocks,
      capacityBlocks: this.places.capacityBlocks,
    };
  }

  close(): void {
    this.places.close();
    this._slots.close();
    this.buffers.release();
    for (const slab of this.slabs.splice(0)) slab.release();
    this.loosePlace.release();
    this.session.release();
  }

  /** Allocates slabs up to this one; false if the device is out of memory. All slabs but the last have `perSlab` places. */
  private ensureSlab(index: number): boolean {
    while (this.slabs.length <= index) {
      const places = Math.min(this.perSlab, this.capacity - this.slabs.length * this.perSlab);
      try {
        this.slabs.push(this.loosePlace.allocate(places * blockBytes(this.layout)));
      } catch (error) {
        if (error instanceof OrtError) return false;
        throw error;
      }
    }
    return true;
  }

  private addressOf(block: DeviceBlock): Pointer {
    const place = this.places.placeOf(block);
    return this.slabs[Math.floor(place / this.perSlab)]!.address((place % this.perSlab) * blockBytes(this.layout));
  }
}
