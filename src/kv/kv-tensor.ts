/** K and V of one layer, as tensors in memory. */

/** A tensor as it lies in memory, in row-major order, its elements with the least significant byte first. */
export interface KVTensor {
  /** For instance `float16`. Only `float32`, `float16` and `bfloat16` can be cast. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** A letter for each axis: `h` heads, `t` tokens, `d` channels of a head, others as the caller likes. A cast to `int8` needs it. */
  readonly layout?: string | undefined;
  readonly bytes: Uint8Array;
}

export interface KVLayer {
  readonly k: KVTensor;
  readonly v: KVTensor;
}

/** The element types that a cast reads. */
export const FLOAT_BYTES = { float32: 4, float16: 2, bfloat16: 2 } as const;

/** An element type of `FLOAT_BYTES`. */
export type KVFloat = keyof typeof FLOAT_BYTES;

export function isFloat(dtype: string): dtype is KVFloat {
  return Object.hasOwn(FLOAT_BYTES, dtype);
}

/** The number of elements of a shape. May be larger than any number that is exact. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
