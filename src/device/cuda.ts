import { blockBytes, ELEMENT_BYTES, type KvLayout } from '../core/kv-layout.js';
import { InternalError, Refused } from '../errors.js';
import { SLAB_BYTES } from '../limits.js';
import { smallModel } from '../model/onnx/small-model.js';
import { DeviceAllocator, type DeviceMemory as Memory } from '../ort/device-memory.js';
import type { Pointer } from '../ort/ffi.js';
import { OrtError } from '../ort/ort-error.js';
import type { Provider } from '../ort/provider.js';
import type { OrtRuntime } from '../ort/runtime.js';
import type { Session } from '../ort/session.js';
import { Value } from '../ort/value.js';
import { BlockPlaces } from './block-places.js';
import { CopyCounter } from './copy-counter.js';
import type { CudaRuntime } from './cuda-runtime.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, DeviceOptions, KvSlot } from './device.js';
import { checkLoose } from './loose.js';

export interface CudaDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
  readonly provider: Provider & { readonly name: 'cuda' };
  readonly cuda: CudaRuntime;
}

/** A graph whose only purpose is that its session has the provider's allocator. */
const NOTHING = smallModel({
  inputs: [{ name: 'in', type: 'float32', dims: [1] }],
  outputs: [{ name: 'out', type: 'float32', dims: [1] }],
  constants: {},
  nodes: [{ op: 'Neg', inputs: ['in'], outputs: ['out'] }],
});

/** K/V of one sequence: where each tensor's `[kvHeads, capacityTokens, headDim]` begins. */
class CudaSlot implements KvSlot {
  constructor(
    readonly device: CudaDevice,
    readonly capacityTokens: number,
    readonly tensors: readonly Pointer[],
  ) {}
}

/**
 * Memory of an NVIDIA GPU by ONNX Runtime's CUDA provider: rows are views into one buffer a tensor, blocks lie in slabs, and copies are the CUDA
 * runtime's, by rows of bytes that lie apart.
 */
export class CudaDevice implements Device {
  readonly kind = 'cuda';
  readonly layout: KvLayout;
  readonly slots: number;
  readonly prefillRow = null;
  readonly #capacityTokens: number;
  readonly #blockBudgetBytes: number;
  readonly #cuda: CudaRuntime;
  readonly #places: BlockPlaces;
  readonly #perSlab: number;
  readonly #capacity: number;
  readonly #slabs: Memory[] = [];
  /** K0, V0, K1, ...: each `[slots, kvHeads, capacityTokens, headDim]`. */
  readonly #buffers: Memory[] = [];
  readonly #slots: CudaSlot[] = [];
  readonly #rows = new Map<string, readonly Value[]>();
  readonly #copied = new CopyCounter();
  /** Bytes of one head's K or V: of a token, and of a block. */
  readonly #tokenBytes: number;
  readonly #runBytes: number;

  /** Throws `Refused` where the device has no room for the sequences. */
  static async open(options: CudaDeviceOptions): Promise<CudaDevice> {
    const { runtime, provider } = options;
    const session = await runtime.openSession(NOTHING, { intraOpThreads: 1, allowSpinning: false, provider });
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
    { layout, slots, capacityTokens, blockBudgetBytes, cuda }: CudaDeviceOptions,
    private readonly session: Session,
    readonly loosePlace: DeviceAllocator,
  ) {
    this.layout = layout;
    this.slots = slots;
    this.#capacityTokens = capacityTokens;
    this.#blockBudgetBytes = blockBudgetBytes;
    this.#cuda = cuda;
    this.#tokenBytes = layout.headDim * ELEMENT_BYTES[layout.elementType];
    this.#runBytes = layout.blockTokens * this.#tokenBytes;
    const bytes = blockBytes(layout);
    this.#capacity = Math.floor(blockBudgetBytes / bytes);
    this.#perSlab = Math.max(1, Math.floor(SLAB_BYTES / bytes));
    this.#places = new BlockPlaces(this.#capacity);
    this.#allocateRows();
  }

  #allocateRows(): void {
    const { layers, kvHeads } = this.layout;
    const rowBytes = kvHeads * this.#capacityTokens * this.#tokenBytes;
    try {
      for (let tensor = 0; tensor < 2 * layers; tensor += 1) {
        this.#buffers.push(this.loosePlace.allocate(this.slots * rowBytes));
      }
    } catch (cause) {
      for (const buffer of this.#buffers) buffer.release();
      throw new Refused(
        `the cuda device has no room for ${this.slots} sequences of ${this.#capacityTokens} tokens (${2 * layers} buffers of ${this.slots * rowBytes} bytes): give fewer --sequences or a smaller --context`,
        { cause },
      );
    }
    for (let row = 0; row < this.slots; row += 1) {
      const tensors = this.#buffers.map((buffer) => buffer.address(row * rowBytes));
      this.#slots.push(new CudaSlot(this, this.#capacityTokens, tensors));
    }
  }

  allocateBlock(): DeviceBlock | null {
    const block = this.#places.take();
    if (block === null) return null;
    const place = this.#places.placeOf(block);
    if (this.#haveSlab(Math.floor(place / this.#perSlab))) return block;
    // What the device has no memory for now, it is not asked for again and again.
    this.#places.shrink(this.#slabs.length * this.#perSlab);
    this.#places.give(block);
    return null;
  }

  freeBlock(block: DeviceBlock): void {
    this.#places.give(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const { tensors, capacityTokens } = this.#own(slot, position, 1);
    let to = this.#addressOf(block);
    for (const tensor of tensors) {
      const from = { address: tensor + position * this.#tokenBytes, pitchBytes: capacityTokens * this.#tokenBytes };
      this.#cuda.copy({ address: to, pitchBytes: this.#runBytes }, from, this.#runBytes, this.layout.kvHeads);
      to += this.layout.kvHeads * this.#runBytes;
    }
    this.#copied.d2d += blockBytes(this.layout);
    await this.#cuda.finish();
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const { tensors, capacityTokens } = this.#own(slot, position, blocks.length);
    // All or nothing: a block that is not in use is found before any is copied.
    const sources = blocks.map((block) => this.#addressOf(block));
    const pitchBytes = capacityTokens * this.#tokenBytes;
    for (const [index, source] of sources.entries()) {
      const at = (position + index * this.layout.blockTokens) * this.#tokenBytes;
      for (const [n, tensor] of tensors.entries()) {
        const from = { address: source + n * this.layout.kvHeads * this.#runBytes, pitchBytes: this.#runBytes };
        this.#cuda.copy({ address: tensor + at, pitchBytes }, from, this.#runBytes, this.layout.kvHeads);
      }
      this.#copied.d2d += blockBytes(this.layout);
    }
    await this.#cuda.finish();
  }

  view(block: DeviceBlock): null {
    this.#places.placeOf(block);
    return null;
  }

  sharedPlace(block: DeviceBlock): null {
    this.#places.placeOf(block);
    return null;
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    this.#checkLength(bytes);
    await this.#cuda.upload(this.#addressOf(block), bytes);
    this.#copied.h2d += bytes.length;
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    this.#checkLength(into);
    await this.#cuda.download(this.#addressOf(block), into);
    this.#copied.d2h += into.length;
  }

  slot(row: number): KvSlot {
    return this.#slot(row);
  }

  rows(first: number, count: number): readonly Value[] {
    if (!(first >= 0 && count >= 1 && first + count <= this.slots)) {
      throw new InternalError(`rows ${first} to ${first + count} were asked for; there are ${this.slots}`);
    }
    const key = `${first}+${count}`;
    const cached = this.#rows.get(key);
    if (cached !== undefined) return cached;
    const { kvHeads, headDim, elementType } = this.layout;
    const shape = [count, kvHeads, this.#capacityTokens, headDim];
    const offset = first * kvHeads * this.#capacityTokens * this.#tokenBytes;
    const values = this.#buffers.map((buffer) => Value.over(buffer, offset, elementType, shape));
    this.#rows.set(key, values);
    return values;
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const [source, target] = [this.#slot(from), this.#slot(to)];
    if (!(tokens >= 0 && tokens <= this.#capacityTokens)) {
      throw new InternalError(`${tokens} tokens of a row were to be moved; it has ${this.#capacityTokens}`);
    }
    const pitchBytes = this.#capacityTokens * this.#tokenBytes;
    const rowBytes = tokens * this.#tokenBytes;
    for (const [n, tensor] of source.tensors.entries()) {
      const into = { address: target.tensors[n]!, pitchBytes };
      this.#cuda.copy(into, { address: tensor, pitchBytes }, rowBytes, this.layout.kvHeads);
      this.#copied.d2d += this.layout.kvHeads * rowBytes;
    }
    await this.#cuda.finish();
  }

  looseSlot(values: readonly Value[]): KvSlot {
    const tokens = checkLoose(this.layout, values);
    return new CudaSlot(
      this,
      tokens,
      values.map((value) => value.address),
    );
  }

  async looseTensors(tokens: number): Promise<readonly Value[]> {
    const { layers, kvHeads, headDim, elementType } = this.layout;
    const bytes = Math.max(1, kvHeads * tokens * this.#tokenBytes);
    const values: Value[] = [];
    try {
      for (let tensor = 0; tensor < 2 * layers; tensor += 1) {
        const memory = this.loosePlace.allocate(bytes);
        values.push(Value.over(memory, 0, elementType, [1, kvHeads, tokens, headDim]));
        memory.release();
      }
      return values;
    } catch (error) {
      for (const value of values) value.release();
      throw error;
    }
  }

  countRun(inBytes: number, outBytes: number): void {
    this.#copied.h2d += inBytes;
    this.#copied.d2h += outBytes;
  }

  copies(): DeviceCopies {
    return this.#copied.seen();
  }

  memory(): DeviceMemory {
    const blocks = this.#places.size;
    return {
      blockBytes: blocks * blockBytes(this.layout),
      blockBudgetBytes: this.#blockBudgetBytes,
      sequenceBytes: this.#buffers.reduce((sum, { byteLength }) => sum + byteLength, 0),
      blocks,
      capacityBlocks: this.#places.capacityBlocks,
    };
  }

  close(): void {
    this.#places.close();
    for (const values of this.#rows.values()) for (const value of values) value.release();
    this.#rows.clear();
    this.#slots.length = 0;
    for (const memory of [...this.#buffers.splice(0), ...this.#slabs.splice(0)]) memory.release();
    this.loosePlace.release();
    this.session.release();
  }

  /** Takes slabs up to this one, as far as the device has memory; all but the last one have `#perSlab` places. */
  #haveSlab(index: number): boolean {
    while (this.#slabs.length <= index) {
      const places = Math.min(this.#perSlab, this.#capacity - this.#slabs.length * this.#perSlab);
      try {
        this.#slabs.push(this.loosePlace.allocate(places * blockBytes(this.layout)));
      } catch (error) {
        if (error instanceof OrtError) return false;
        throw error;
      }
    }
    return true;
  }

  #addressOf(block: DeviceBlock): Pointer {
    const place = this.#places.placeOf(block);
    return this.#slabs[Math.floor(place / this.#perSlab)]!.address((place % this.#perSlab) * blockBytes(this.layout));
  }

  #checkLength({ length }: Uint8Array): void {
    const expected = blockBytes(this.layout);
    if (length !== expected) throw new InternalError(`a block has ${expected} bytes, not ${length}`);
  }

  #slot(row: number): CudaSlot {
    const slot = this.#slots[row];
    if (slot === undefined) throw new InternalError(`row ${row} was asked for; there are ${this.slots}`);
    return slot;
  }

  /** A slot of this device, with room for so many blocks at `position`. */
  #own(slot: KvSlot, position: number, blocks: number): CudaSlot {
    if (!(slot instanceof CudaSlot) || slot.device !== this) throw new InternalError('a slot is of another device');
    if (this.#slots.length === 0) throw new InternalError('a slot was used after its device was closed');
    const end = position + blocks * this.layout.blockTokens;
    if (!(Number.isSafeInteger(position) && position >= 0 && end <= slot.capacityTokens)) {
      throw new InternalError(`tokens ${position} to ${end} do not lie in a slot of ${slot.capacityTokens} tokens`);
    }
    return slot;
  }
}
