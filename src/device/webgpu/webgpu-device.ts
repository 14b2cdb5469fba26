import { blockBytes, checkBlockBytes, type KvLayout } from '../../core/kv-layout.js';
import { InternalError, Refused, Unavailable } from '../../errors.js';
import type { DeviceAllocator, DeviceMemory as Memory } from '../../ort/device-memory.js';
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

export interface WebGpuDeviceOptions extends DeviceOptions {
  readonly runtime: OrtRuntime;
  readonly provider: Provider & { readonly name: 'webgpu' };
}

/** Places are counted in signed 32-bit numbers on the device. */
const MOST_PIECES = 2 ** 31;

/** Where a slot's K/V is: in a row of the device's buffers, or in tensors that a graph made. */
type Place =
  | { readonly kind: 'row'; readonly row: KvRow }
  | { readonly kind: 'loose'; readonly values: readonly Value[] };

/**
 * Memory of a GPU by ONNX Runtime's WebGPU provider. Tensors can begin at the beginning of a buffer only, so the rows that decode are a buffer from
 * its beginning on, a sequence begins in a row of a buffer of its own, and each block has a buffer. All that touches the device goes one
 * after another.
 */
export class WebGpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly layout: KvLayout;
  readonly slots: number;
  readonly prefillRow: number;
  private readonly words: WordLayout;
  private readonly capacityTokens: number;
  private readonly blockBudgetBytes: number;
  private readonly places: BlockPlaces;
  /** By place; undefined where it was never used. */
  private readonly blocks: (Memory | undefined)[] = [];
  private readonly _rows = new Map<string, readonly Value[]>();
  private readonly _slots: Slots<Place>;
  private closed = false;

  /** Throws `Refused` for a layout it cannot serve, and where the device has no room for the sequences. */
  static async open(options: WebGpuDeviceOptions): Promise<WebGpuDevice> {
    const { runtime, layout, provider, slots, capacityTokens } = options;
    const words = wordLayout(layout);
    if (slots * layout.kvHeads * capacityTokens * words.piecesPerToken >= MOST_PIECES) {
      throw new Refused(
        `${slots} sequences of ${capacityTokens} tokens are more than the webgpu device can address: give fewer --sequences or a smaller --context`,
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
        `the webgpu device has no room for ${slots} sequences of ${capacityTokens} tokens (${bytes} bytes, in ${2 * words.tensors} buffers): give fewer --sequences or a smaller --context`,
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
    const row = (buffers: OwnKvBuffers, index: number): Place => ({ kind: 'row', row: { buffers, row: index } });
    const rows = [...Array.from({ length: slots }, (_, index) => row(batch, index)), row(single, 0)];
    this._slots = new Slots(layout, capacityTokens, rows);
  }

  get loosePlace(): DeviceAllocator {
    return this.copier.allocator;
  }

  allocateBlock(): DeviceBlock | null {
    return this.places.take();
  }

  freeBlock(block: DeviceBlock): void {
    this.places.give(block);
  }

  async cut(slot: KvSlot, position: number, block: DeviceBlock): Promise<void> {
    const own = this._slots.withRoom(slot, position, 1);
    const place = this.places.placeOf(block);
    await this.copier.exclusive(async () => {
      const memory = await this.memoryAt(place);
      await this.within(own, (row) => this.copier.cut(row, position, memory));
    });
  }

  async join(slot: KvSlot, position: number, blocks: readonly DeviceBlock[]): Promise<void> {
    const own = this._slots.withRoom(slot, position, blocks.length);
    // All or nothing: a block that is not in use is found before any is copied.
    const places = blocks.map((block) => this.places.placeOf(block));
    await this.copier.exclusive(() =>
      this.within(own, async (row) => {
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
        `rows ${first} to ${first + count} were asked for; there are ${this.slots} from 0 on, and row ${this.prefillRow} by itself`,
      );
    }
    const key = single ? 'single' : String(count);
    const cached = this._rows.get(key);
    if (cached !== undefined) return cached;
    const { kvHeads, headDim, elementType } = this.layout;
    const shape = [count, kvHeads, this.capacityTokens, headDim];
    const { memories } = single ? this.single : this.batch;
    const values = memories.map((memory) => Value.over(memory, 0, elementType, shape));
    this._rows.set(key, values);
    return values;
  }

  async moveRow(from: number, to: number, tokens: number): Promise<void> {
    const [source, target] = this._slots.pair(from, to, tokens);
    await this.copier.exclusive(() =>
      this.within(source, (fromRow) => this.within(target, (toRow) => this.copier.move(fromRow, toRow, tokens))),
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
          values.push(Value.over(memory, 0, elementType, [1, kvHeads, tokens, headDim]));
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
    return this.counter.seen();
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

  /** The memory of a place, made when it is first used. In the device's turn. */
  private async memoryAt(place: number): Promise<Memory> {
    const known = this.blocks[place];
    if (known !== undefined) return known;
    try {
      const memory = await this.copier.memory.allocate(blockBytes(this.layout));
      this.blocks[place] = memory;
      return memory;
    } catch (error) {
      // What it has no memory for now, it is not asked for again and again.
      this.places.shrink(place);
      throw error;
    }
  }

  private async withBytes(block: DeviceBlock, use: (value: Value) => Promise<void>): Promise<void> {
    const place = this.places.placeOf(block);
    await this.copier.exclusive(async () => {
      const value = Value.over(await this.memoryAt(place), 0, 'int32', [blockBytes(this.layout) / 4]);
      try {
        await use(value);
      } finally {
        value.release();
      }
    });
  }

  /** Shows a slot's buffers as they are copied. */
  private async within({ at, capacityTokens }: Slot<Place>, use: (row: KvRow) => Promise<void>): Promise<void> {
    if (at.kind === 'row') return use(at.row);
    const shape = piecesShape(this.words, 1, capacityTokens);
    const pieces = at.values.map((value) => Value.overValue(this.copier.allocator, value, 'int32', shape));
    try {
      await use({ buffers: { capacityTokens, pieces }, row: 0 });
    } finally {
      for (const value of pieces) value.release();
    }
  }
}
