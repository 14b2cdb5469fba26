import type { Binding } from '../ort/binding.js';
import { NativeMemory } from '../ort/memory.js';
import type { OrtRuntime } from '../ort/runtime.js';
import { Value } from '../ort/value.js';

const INT64_BYTES = 8;

/** An input of int64 whose numbers and shape change from run to run, over memory that is allocated once. */
export class Int64Input {
  readonly words: BigInt64Array;
  private readonly memory: NativeMemory;
  private readonly halves: Int32Array;
  private shape: readonly number[] = [];
  private bound: Binding | null = null;

  /** @param capacity numbers in the largest shape */
  constructor(
    runtime: OrtRuntime,
    private readonly name: string,
    capacity: number,
    /** Whether a device gets a copy when it is bound, and not what is written later. */
    private readonly copiedWhenBound: boolean,
  ) {
    this.memory = NativeMemory.allocate(runtime, capacity * INT64_BYTES);
    const { buffer, byteOffset } = this.memory.bytes;
    this.words = new BigInt64Array(buffer, byteOffset, capacity);
    this.halves = new Int32Array(buffer, byteOffset, capacity * 2);
  }

  /** Writes one number, from 0 to 2^31 - 1. Little-endian, and without making a BigInt. */
  set(index: number, number: number): void {
    this.halves[2 * index] = number;
    this.halves[2 * index + 1] = 0;
  }

  /** Binds it with this shape, unless it is so bound already. Returns the bytes that the run reads of it. */
  bind(binding: Binding, shape: readonly number[]): number {
    const bytes = shape.reduce((product, dim) => product * dim, INT64_BYTES);
    if (!this.copiedWhenBound && this.bound === binding && sameShape(shape, this.shape)) return bytes;
    const value = Value.over(this.memory, 0, 'int64', shape);
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
