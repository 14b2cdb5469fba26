import { type KvLayout, tokenBytes } from '../core/kv-layout.js';
import { InternalError, Refused } from '../errors.js';
import { OrtError } from '../ort/ort-error.js';
import { type TensorMemory, Value } from '../ort/value.js';
import type { Device, DeviceOptions } from './device.js';

/**
 * The K/V buffers of a device's slots, for devices whose tensors may start at any row. There is one buffer
 * `[rows, kvHeads, capacityTokens, headDim]` per tensor (K0, V0, K1, ...).
 */
export class RowBuffers<Memory extends TensorMemory> {
  /** Size of one row of one buffer. */
  readonly rowBytes: number;
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
    const tensors = 2 * layout.layers;
    this.rowBytes = (capacityTokens * tokenBytes(layout)) / tensors;
    try {
      while (this.buffers.length < tensors) this.buffers.push(allocate(slots * this.rowBytes));
    } catch (cause) {
      this.release();
      if (!(cause instanceof OrtError)) throw cause;
      throw new Refused(
        `cannot allocate ${slots} slots of ${capacityTokens} tokens on the ${kind} device: out of memory for ${tensors} buffers of ${slots * this.rowBytes} bytes; set fewer --sequences or a smaller --context`,
        { cause },
      );
    }
  }

  get byteLength(): number {
    return this.buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** For each row, the results of `at` for each buffer and the row's byte offset in it. */
  map<At>(at: (buffer: Memory, byteOffset: number) => At): At[][] {
    return Array.from({ length: this.rows }, (_, row) => this.buffers.map((buffer) => at(buffer, row * this.rowBytes)));
  }

  /** See `Device.rows`. */
  view(first: number, count: number): readonly Value[] {
    if (!(first >= 0 && count >= 1 && first + count <= this.rows)) {
      throw new InternalError(`there are no rows ${first} to ${first + count}: the device has ${this.rows} rows`);
    }
    const key = `${first}+${count}`;
    const known = this.views.get(key);
    if (known !== undefined) return known;
    const { kvHeads, headDim, elementType } = this.layout;
    const shape = [count, kvHeads, this.capacityTokens, headDim];
    const values = this.buffers.map((buffer) => Value.view(buffer, first * this.rowBytes, elementType, shape));
    this.views.set(key, values);
    return values;
  }

  release(): void {
    for (const values of this.views.values()) for (const value of values) value.release();
    this.views.clear();
    for (const buffer of this.buffers.splice(0)) buffer.release();
  }
}
