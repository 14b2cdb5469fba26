import { setImmediate } from 'node:timers/promises';
import { blockBytes, ELEMENT_BYTES, type KvLayout } from '../core/kv-layout.js';
import type { SharedPlace } from '../core/shared-place.js';
import { InternalError } from '../errors.js';
import { COPY_TURN_BYTES } from '../limits.js';
import { NativeMemory } from '../ort/memory.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { Value } from '../ort/value.js';
import { BlockPool } from './block-pool.js';
import { CopyCounter } from './copy-counter.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, DeviceOptions, KvSlot } from './device.js';
import { checkLoose } from './loose.js';

export interface CpuDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
}

/** K/V of one sequence in host memory: of each tensor the bytes `[kvHeads, capacityTokens, headDim]`. */
class CpuSlot implements KvSlot {
  constructor(
    readonly device: CpuDevice,
    readonly capacityTokens: number,
    readonly tensors: readonly Uint8Array[],
  ) {}
}

/** Host memory as a device: blocks are read and written in place, and copies are the processor's. */
export class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly prefillRow = null;
  readonly loosePlace = 'cpu';
  readonly layout: KvLayout;
  readonly slots: number;
  readonly #blockBudgetBytes: number;
  readonly #capacityTokens: number;
  readonly #pool: BlockPool;
  /** K0, V0, K1, ...: each `[slots, kvHeads, capacityTokens, headDim]`. */
  readonly #buffers: NativeMemory[] = [];
  readonly #slots: CpuSlot[];
  readonly #rows = new Map<string, readonly Value[]>();
  /** Bytes of one head's K or V: of a token, of a block, and of a slot's whole capacity. */
  readonly #tokenBytes: number;
  readonly #runBytes: number;
  readonly #strideBytes: number;
  readonly #copied = new CopyCounter();

  readonly #runtime: OrtRuntime;

  constructor({ runtime, layout, blockBudgetBytes, slots, capacityTokens }: CpuDeviceOptions) {
    this.#runtime = runtime;
    this.layout = layout;
    this.slots = slots;
    this.#blockBudgetBytes = blockBudgetBytes;
    this.#capacityTokens = capacityTokens;
    this.#tokenBytes = layout.headDim * ELEMENT_BYTES[layout.elementType];
    this.#runBytes = layout.blockTokens * this.#tokenBytes;
    this.#strideBytes = capacityTokens * this.#tokenBytes;
    this.#pool = new BlockPool(runtime, blockBytes(layout), blockBudgetBytes);
    const rowBytes = layout.kvHeads * this.#strideBytes;
    try {
      for (let tensor = 0; tensor < 2 * layout.layers; tensor += 1) {
        this.#buffers.push(NativeMemory.allocate(runtime, slots * rowBytes));
      }
      this.#slots = Array.from({ length: slots }, (_, row) => {
        const tensors = this.#buffers.map(({ bytes }) => bytes.subarray(row * rowBytes, (row + 1) * rowBytes));
        return new CpuSlot(this, capacityTokens, tensors);
      });
    } catch (cause) {
      for (const buffer of this.#buffers) buffer.release();
      throw new InternalError(
        `there is no memory for ${slots} sequences of ${capacityTokens} tokens (${2 * layout.layers} buffers of ${slots * rowBytes} bytes): allow fewer or shorter ones`,
        { cause },
      );
    }
  }

  allocateBlock(): DeviceBlock | null {
    return this.#pool.take();
  }

  freeBlock(block: DeviceBlock): void {
    this.#pool.give(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const { tensors, capacityTokens } = this.#own(slot, position, 1);
    const into = this.#pool.bytes(block);
    const stride = capacityTokens * this.#tokenBytes;
    const run = this.#runBytes;
    this.#copied.d2d += into.length;
    let to = 0;
    for (const tensor of tensors) {
      for (let from = position * this.#tokenBytes; from < tensor.length; from += stride) {
        into.set(tensor.subarray(from, from + run), to);
        to += run;
      }
    }
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this.#own(slot, position, blocks.length);
    // All or nothing: a block that is not in use is found before any is copied.
    const sources = blocks.map((block) => this.#pool.bytes(block));
    let turnBytes = 0;
    for (const [index, source] of sources.entries()) {
      if (turnBytes > COPY_TURN_BYTES) {
        await setImmediate();
        turnBytes = 0;
      }
      this.#joinOne(own, position + index * this.layout.blockTokens, source);
      this.#copied.d2d += source.length;
      turnBytes += source.length;
    }
  }

  #joinOne({ tensors, capacityTokens }: CpuSlot, position: number, source: Uint8Array): void {
    const stride = capacityTokens * this.#tokenBytes;
    const run = this.#runBytes;
    let from = 0;
    for (const tensor of tensors) {
      for (let to = position * this.#tokenBytes; to < tensor.length; to += stride) {
        tensor.set(source.subarray(from, from + run), to);
        from += run;
      }
    }
  }

  /** Gets real memory for the first blocks in the background: worth it right after the start. */
  commitAhead(): Promise<void> {
    return this.#pool.commitAhead();
  }

  view(block: DeviceBlock): Uint8Array {
    return this.#pool.bytes(block);
  }

  sharedPlace(block: DeviceBlock): SharedPlace | null {
    return this.#pool.sharedPlace(block);
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    this.#checkLength(bytes);
    this.#copied.h2d += bytes.length;
    this.#pool.bytes(block).set(bytes);
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    this.#checkLength(into);
    this.#copied.d2h += into.length;
    into.set(this.#pool.bytes(block));
  }

  #checkLength({ length }: Uint8Array): void {
    const expected = blockBytes(this.layout);
    if (length !== expected) throw new InternalError(`a block has ${expected} bytes, not ${length}`);
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
    const offset = first * kvHeads * this.#strideBytes;
    const values = this.#buffers.map((buffer) => Value.over(buffer, offset, elementType, shape));
    this.#rows.set(key, values);
    return values;
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const source = this.#slot(from);
    const { tensors } = this.#slot(to);
    if (!(tokens >= 0 && tokens <= this.#capacityTokens)) {
      throw new InternalError(`${tokens} tokens of a row were to be moved; it has ${this.#capacityTokens}`);
    }
    const bytes = tokens * this.#tokenBytes;
    let turnBytes = 0;
    for (const [index, tensor] of source.tensors.entries()) {
      if (turnBytes > COPY_TURN_BYTES) {
        await setImmediate();
        turnBytes = 0;
      }
      for (let head = 0; head < tensor.length; head += this.#strideBytes) {
        tensors[index]!.set(tensor.subarray(head, head + bytes), head);
      }
      this.#copied.d2d += this.layout.kvHeads * bytes;
      turnBytes += this.layout.kvHeads * bytes;
    }
  }

  looseSlot(values: readonly Value[]): KvSlot {
    const capacityTokens = checkLoose(this.layout, values);
    return new CpuSlot(
      this,
      capacityTokens,
      values.map((value) => value.bytes()),
    );
  }

  async looseTensors(tokens: number): Promise<readonly Value[]> {
    const { layers, kvHeads, headDim, elementType } = this.layout;
    const shape = [1, kvHeads, tokens, headDim];
    return Array.from({ length: 2 * layers }, () => Value.allocate(this.#runtime, elementType, shape));
  }

  /** A run reads and writes host memory in place. */
  countRun(): void {}

  copies(): DeviceCopies {
    return this.#copied.seen();
  }

  memory(): DeviceMemory {
    const blocks = this.#pool.size;
    return {
      blockBytes: blocks * blockBytes(this.layout),
      blockBudgetBytes: this.#blockBudgetBytes,
      sequenceBytes: this.#buffers.reduce((sum, { byteLength }) => sum + byteLength, 0),
      blocks,
      capacityBlocks: this.#pool.capacityBlocks,
    };
  }

  close(): void {
    this.#pool.close();
    for (const values of this.#rows.values()) for (const value of values) value.release();
    this.#rows.clear();
    this.#slots.length = 0;
    for (const buffer of this.#buffers.splice(0)) buffer.release();
  }

  #slot(row: number): CpuSlot {
    const slot = this.#slots[row];
    if (slot === undefined) throw new InternalError(`row ${row} was asked for; there are ${this.slots}`);
    return slot;
  }

  /** A slot of this device, with room for so many blocks at `position`. */
  #own(slot: KvSlot, position: number, blocks: number): CpuSlot {
    if (!(slot instanceof CpuSlot) || slot.device !== this) throw new InternalError('a slot is of another device');
    if (this.#slots.length === 0) throw new InternalError('a slot was used after its device was closed');
    const end = position + blocks * this.layout.blockTokens;
    if (!(Number.isSafeInteger(position) && position >= 0 && end <= slot.capacityTokens)) {
      throw new InternalError(`tokens ${position} to ${end} do not lie in a slot of ${slot.capacityTokens} tokens`);
    }
    return slot;
  }
}
