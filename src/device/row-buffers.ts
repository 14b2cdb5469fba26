import { type HeadShape, headShapes, type KvLayout, tensorTokenBytes } from '../core/kv-layout.js';
import { InternalError, Refused } from '../errors.js';
import { OrtError } from '../ort/ort-error.js';
import { type TensorMemory, Value } from '../ort/value.js';
import type { Device, DeviceOptions } from './device.js';

/**
 * The K/V buffers of a device's slots, for devices whose tensors may start at any row. There is one buffer
 * `[rows, kvHeads, capacityTokens, headDim]` per tensor (K0, V0, K1, ...).
 */
export class RowBuffers<Memory extends TensorMemory> {
  /** For each buffer, the size of one row. */
  readonly rowBytes: readonly number[];
  private readonly shapes: readonly HeadShape[];
  private readonly layout: KvLayout;
  private readonly rows: number;
  private readonly capacityTokens: number;
  private readonly buffers: Memory[] = [];
  private readonly views = new Map<string, readonly Value[]>();

  /** Throws `Refused` if the device has not enough memory. */
  constructor(
    kind: Device['kind'],
    { layout, slots, capacityTokens }: DeviceOptions,
    allocate: (byteLength: number) => Memory,
  ) {
    this.layout = layout;
    this.rows = slots;
    this.capacityTokens = capacityTokens;
    this.shapes = headShapes(layout);
    this.rowBytes = this.shapes.map((shape) => capacityTokens * tensorTokenBytes(shape, layout.elementType));
    try {
      for (const bytes of this.rowBytes) this.buffers.push(allocate(slots * bytes));
    } catch (cause) {
      this.release();
      if (!(cause instanceof OrtError)) throw cause;
      throw new Refused(
        `cannot allocate ${slots} slots of ${capacityTokens} tokens on the ${kind} device: out of memory for ${this.shapes.length} buffers of ${slots * Math.max(...this.rowBytes)} bytes; set fewer --sequences or a smaller --context`,
        { cause },
      );
    }
  }

  get byteLength(): number {
    return this.buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** For each row, the results of `at` for each buffer, the row's byte offset in it, and the row's size. */
  map<At>(at: (buffer: Memory, byteOffset: number, byteLength: number) => At): At[][] {
    return Array.from({ length: this.rows }, (_, row) =>
      this.buffers.map((buffer, i) => at(buffer, row * this.rowBytes[i]!, this.rowBytes[i]!)),
    );
  }

  /** See `Device.rows`. */
  view(first: number, count: number): readonly Value[] {
    if (!(first >= 0 && count >= 1 && first + count <= this.rows)) {
      throw new InternalError(`there are no rows ${first} to ${first + count}: the device has ${this.rows} rows`);
    }
    const key = `${first}+${count}`;
    const known = this.views.get(key);
    if (known !== undefined) return known;
    const { elementType } = this.layout;
    const values = this.buffers.map((buffer, i) => {
      const { kvHeads, headDim } = this.shapes[i]!;
      const shape = [count, kvHeads, this.capacityTokens, headDim];
      return Value.view(buffer, first * this.rowBytes[i]!, elementType, shape);
    });
    this.views.set(key, values);
    return values;
  }

  release(): void {
    for (const values of this.views.values()) for (const value of values) value.release();
    this.views.clear();
    for (const buffer of this.buffers.splice(0)) buffer.release();
  }
}
