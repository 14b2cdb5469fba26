import { type KvLayout, tokenBytes } from '../core/kv-layout.js';
import { InternalError, Refused } from '../errors.js';
import { OrtError } from '../ort/ort-error.js';
import { type TensorMemory, Value } from '../ort/value.js';
import type { Device, DeviceOptions } from './device.js';

/**
 * K/V of several sequences: a buffer for each tensor (K0, V0, K1, ...), each `[rows, kvHeads, capacityTokens, headDim]`, of which a graph can be
 * shown any rows that lie together.
 */
export class RowBuffers<Memory extends TensorMemory> {
  /** Bytes of one row of one tensor. */
  readonly rowBytes: number;
  private readonly layout: KvLayout;
  private readonly rows: number;
  private readonly capacityTokens: number;
  private readonly buffers: Memory[] = [];
  private readonly views = new Map<string, readonly Value[]>();

  /** Throws `Refused` where the device has no room for them. */
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
        `the ${kind} device has no room for ${slots} sequences of ${capacityTokens} tokens (${tensors} buffers of ${slots * this.rowBytes} bytes): give fewer --sequences or a smaller --context`,
        { cause },
      );
    }
  }

  get byteLength(): number {
    return this.buffers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Of each row, where its tensors are, as `at` has it of a buffer and a byte offset in it. */
  map<At>(at: (buffer: Memory, byteOffset: number) => At): At[][] {
    return Array.from({ length: this.rows }, (_, row) => this.buffers.map((buffer) => at(buffer, row * this.rowBytes)));
  }

  /** Tensors over rows `[first, first + count)`, as `Device.rows` has them. */
  view(first: number, count: number): readonly Value[] {
    if (!(first >= 0 && count >= 1 && first + count <= this.rows)) {
      throw new InternalError(`rows ${first} to ${first + count} were asked for; there are ${this.rows}`);
    }
    const key = `${first}+${count}`;
    const known = this.views.get(key);
    if (known !== undefined) return known;
    const { kvHeads, headDim, elementType } = this.layout;
    const shape = [count, kvHeads, this.capacityTokens, headDim];
    const values = this.buffers.map((buffer) => Value.over(buffer, first * this.rowBytes, elementType, shape));
    this.views.set(key, values);
    return values;
  }

  release(): void {
    for (const values of this.views.values()) for (const value of values) value.release();
    this.views.clear();
    for (const buffer of this.buffers.splice(0)) buffer.release();
  }
}
