import type { Binding } from '../ort/binding.js';
import { NativeMemory } from '../ort/memory.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { Value } from '../ort/value.js';

/** An int64 input whose numbers and shape change from run to run. */

const INT64_BYTES = 8;

/** An input whose memory is allocated once, for its largest shape. */
export class Int64Input {
  readonly words: BigInt64Array;
  private readonly memory: NativeMemory;
  private readonly halves: Int32Array;
  private shape: readonly number[] = [];
  private bound: Binding | null = null;

  /** @param capacity the number of elements of the largest shape */
  constructor(
    runtime: OrtRuntime,
    private readonly name: string,
    capacity: number,
    /** Whether binding copies the input to a device, so that later writes need another `bind`. */
    private readonly copiedWhenBound: boolean,
  ) {
    this.memory = NativeMemory.allocate(runtime, capacity * INT64_BYTES);
    const { buffer, byteOffset } = this.memory.bytes;
    this.words = new BigInt64Array(buffer, byteOffset, capacity);
    this.halves = new Int32Array(buffer, byteOffset, capacity * 2);
  }

  /** Writes one element, from 0 to 2^31 - 1, without allocating a BigInt. */
  set(index: number, value: number): void {
    // Little-endian: the low half comes first.
    this.halves[2 * index] = value;
    this.halves[2 * index + 1] = 0;
  }

  /** Binds the input with this shape, unless it already is. Returns the number of bytes that the run reads. */
  bind(binding: Binding, shape: readonly number[]): number {
    const bytes = shape.reduce((product, dim) => product * dim, INT64_BYTES);
    if (!this.copiedWhenBound && this.bound === binding && sameShape(shape, this.shape)) return bytes;
    const value = Value.view(this.memory, 0, 'int64', shape);
    binding.bindInput(this.name, value);
    value.release();
    this.bound = binding;
    this.shape = shape;
    return bytes;
  }

  release(): void {
    this.memory.release();
  }
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}
