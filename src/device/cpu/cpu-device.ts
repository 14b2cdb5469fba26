import { setImmediate } from 'node:timers/promises';
import { blockBytes, checkBlockBytes, ELEMENT_BYTES, headShapes, type KvLayout } from '../../core/kv-layout.js';
import type { SharedPlace } from '../../core/shared-place.js';
import { COPY_TURN_BYTES } from '../../limits.js';
import { NativeMemory } from '../../ort/memory.js';
import type { OrtRuntime } from '../../ort/runtime.js';
import { Value } from '../../ort/value.js';
import { BlockPool } from '../block-pool.js';
import { CopyCounter } from '../copy-counter.js';
import type { Device, DeviceBlock, DeviceCopies, DeviceMemory, DeviceOptions, KvSlot } from '../device.js';
import { RowBuffers } from '../row-buffers.js';
import { type Slot, Slots } from '../slots.js';

/** The CPU as a device: blocks and slots lie in host memory. */

export interface CpuDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
}

/** The bytes of a slot. */
interface SlotMemory {
  /** K0, V0, K1, ..., each `[kvHeads, capacityTokens, headDim]`. */
  readonly kv: readonly Uint8Array[];
  /** The states of layers without K/V, which loose slots alone have. */
  readonly states: readonly Uint8Array[];
}

/** A device in host memory: blocks are read and written in place, and the processor copies. */
export class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly prefillRow = null;
  readonly longestRunTokens = Number.POSITIVE_INFINITY;
  readonly loosePlace = 'cpu';
  readonly layout: KvLayout;
  readonly slots: number;
  private readonly runtime: OrtRuntime;
  private readonly blockBudgetBytes: number;
  private readonly pool: BlockPool;
  private readonly buffers: RowBuffers<NativeMemory>;
  private readonly _slots: Slots<SlotMemory>;
  /** For each tensor, the size of one head's K or V of one token. */
  private readonly headBytes: readonly number[];
  private readonly copied = new CopyCounter();

  /** Throws `Refused` if there is not enough memory for the slots. */
  constructor(options: CpuDeviceOptions) {
    const { runtime, layout, blockBudgetBytes, slots, capacityTokens } = options;
    this.runtime = runtime;
    this.layout = layout;
    this.slots = slots;
    this.blockBudgetBytes = blockBudgetBytes;
    this.headBytes = headShapes(layout).map(({ headDim }) => headDim * ELEMENT_BYTES[layout.elementType]);
    this.pool = new BlockPool(runtime, blockBytes(layout), blockBudgetBytes);
    this.buffers = new RowBuffers(this.kind, options, (byteLength) => NativeMemory.allocate(runtime, byteLength));
    const rows = this.buffers.map((buffer, from, byteLength) => buffer.view(from, byteLength));
    this._slots = new Slots(
      layout,
      capacityTokens,
      rows.map((kv) => ({ kv, states: [] })),
    );
  }

  allocateBlock(): DeviceBlock | null {
    return this.pool.take();
  }

  freeBlock(block: DeviceBlock): void {
    this.pool.give(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const { at, capacityTokens } = this._slots.withRoom(slot, position, 1);
    const into = this.pool.bytes(block);
    this.copied.d2d += into.length;
    let to = 0;
    for (const [index, tensor] of at.kv.entries()) {
      const headBytes = this.headBytes[index]!;
      const run = this.layout.blockTokens * headBytes;
      for (let from = position * headBytes; from < tensor.length; from += capacityTokens * headBytes) {
        into.set(tensor.subarray(from, from + run), to);
        to += run;
      }
    }
    for (const state of at.states) {
      into.set(state, to);
      to += state.length;
    }
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this._slots.withRoom(slot, position, blocks.length);
    // All or nothing: a freed block throws before any block is copied.
    const sources = blocks.map((block) => this.pool.bytes(block));
    let turnBytes = 0;
    for (const [index, source] of sources.entries()) {
      if (turnBytes > COPY_TURN_BYTES) {
        await setImmediate();
        turnBytes = 0;
      }
      this.joinOne(own, position + index * this.layout.blockTokens, source);
      this.copied.d2d += source.length;
      turnBytes += source.length;
    }
  }

  private joinOne({ at, capacityTokens }: Slot<SlotMemory>, position: number, source: Uint8Array): void {
    let from = 0;
    for (const [index, tensor] of at.kv.entries()) {
      const headBytes = this.headBytes[index]!;
      const run = this.layout.blockTokens * headBytes;
      for (let to = position * headBytes; to < tensor.length; to += capacityTokens * headBytes) {
        tensor.set(source.subarray(from, from + run), to);
        from += run;
      }
    }
    // The states of a later block overwrite them.
    for (const state of at.states) {
      state.set(source.subarray(from, from + state.length));
      from += state.length;
    }
  }

  /** Backs the next blocks by physical memory in the background. See `BlockPool.commitAhead`. */
  commitAhead(): Promise<void> {
    return this.pool.commitAhead();
  }

  view(block: DeviceBlock): Uint8Array {
    return this.pool.bytes(block);
  }

  sharedPlace(block: DeviceBlock): SharedPlace | null {
    return this.pool.sharedPlace(block);
  }

  async upload(block: DeviceBlock, bytes: Uint8Array): Promise<void> {
    checkBlockBytes(this.layout, bytes);
    this.copied.h2d += bytes.length;
    this.pool.bytes(block).set(bytes);
  }

  async download(block: DeviceBlock, into: Uint8Array): Promise<void> {
    checkBlockBytes(this.layout, into);
    this.copied.d2h += into.length;
    into.set(this.pool.bytes(block));
  }

  slot(row: number): KvSlot {
    return this._slots.row(row);
  }

  rows(first: number, count: number): readonly Value[] {
    return this.buffers.view(first, count);
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const [source, target] = this._slots.pair(from, to, tokens);
    let turnBytes = 0;
    for (const [index, tensor] of source.at.kv.entries()) {
      if (turnBytes > COPY_TURN_BYTES) {
        await setImmediate();
        turnBytes = 0;
      }
      const headBytes = this.headBytes[index]!;
      const bytes = tokens * headBytes;
      for (let head = 0; head < tensor.length; head += source.capacityTokens * headBytes) {
        target.at.kv[index]!.set(tensor.subarray(head, head + bytes), head);
        this.copied.d2d += bytes;
        turnBytes += bytes;
      }
    }
  }

  looseSlot(values: readonly Value[]): KvSlot {
    const bytes = values.map((value) => value.bytes());
    const kv = bytes.slice(0, this.headBytes.length);
    return this._slots.loose(values, { kv, states: bytes.slice(this.headBytes.length) });
  }

  async looseTensors(tokens: number): Promise<readonly Value[]> {
    const { elementType, states = [] } = this.layout;
    const kv = headShapes(this.layout).map(({ kvHeads, headDim }) =>
      Value.allocate(this.runtime, elementType, [1, kvHeads, tokens, headDim]),
    );
    return [
      ...kv,
      ...states.map((state) => {
        const value = Value.allocate(this.runtime, state.elementType, [1, ...state.dims]);
        value.bytes().fill(0);
        return value;
      }),
    ];
  }

  /** Runs copy nothing: they read and write host memory in place. */
  countRun(): void {}

  copies(): DeviceCopies {
    return this.copied.snapshot();
  }

  memory(): DeviceMemory {
    const blocks = this.pool.size;
    return {
      blockBytes: blocks * blockBytes(this.layout),
      blockBudgetBytes: this.blockBudgetBytes,
      sequenceBytes: this.buffers.byteLength,
      blocks,
      capacityBlocks: this.pool.capacityBlocks,
    };
  }

  close(): void {
    this.pool.close();
    this._slots.close();
    this.buffers.release();
  }
}
