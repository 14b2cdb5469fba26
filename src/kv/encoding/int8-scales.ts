import { InvalidRequest } from '../../errors.js';

/**
 * Numbers as 8-bit integers with one scale for each channel of each head: K has channels that are much larger than the others in every token (Z. Liu et
 * al., "KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache", 2024).
 */

/** Where the elements of a tensor lie: a scale for each pair of an index of axis `h` and one of axis `d`. */
export interface ScaledShape {
  readonly shape: readonly number[];
  /** With `h` and `d`. */
  readonly layout: string;
}

const MOST = 127;
/** No number times this scale is beyond float32. */
const LARGEST_SCALE = Math.fround((3.4028234663852886e38 / MOST) * (1 - 2 ** -22));

/** The number of scales. */
export function scaleCount({ shape, layout }: ScaledShape): number {
  return shape[layout.indexOf('h')]! * shape[layout.indexOf('d')]!;
}

/** @throws InvalidRequest for infinities and NaN, which no integer represents */
export function quantize(from: Float32Array, about: ScaledShape): { scales: Float32Array; values: Int8Array } {
  const scales = new Float32Array(scaleCount(about));
  forEachRow(about, (start, end, first, step) => {
    for (let i = start, at = first; i < end; i++, at += step) {
      const size = Math.abs(from[i]!);
      if (!(size < Number.POSITIVE_INFINITY)) {
        throw new InvalidRequest('int8: has no infinities and no NaN; choose another cast for this tensor');
      }
      if (size > scales[at]!) scales[at] = size;
    }
  });
  for (let i = 0; i < scales.length; i++) scales[i] = Math.min(scales[i]! / MOST, LARGEST_SCALE);
  const values = new Int8Array(from.length);
  forEachRow(about, (start, end, first, step) => {
    for (let i = start, at = first; i < end; i++, at += step) {
      // A scale of 0 belongs to zeros, or to numbers too small for a scale.
      const value = scales[at] === 0 ? 0 : Math.round(from[i]! / scales[at]!);
      values[i] = Math.max(-MOST, Math.min(MOST, value));
    }
  });
  return { scales, values };
}

/** The numbers that the integers represent. */
export function dequantize(values: Int8Array, scales: Float32Array, about: ScaledShape): Float32Array {
  const into = new Float32Array(values.length);
  forEachRow(about, (start, end, first, step) => {
    for (let i = start, at = first; i < end; i++, at += step) into[i] = values[i]! * scales[at]!;
  });
  return into;
}

/** Calls `fn` for each row of the last axis, with the row's first element, its end, the first element's scale, and the step to the next scale. */
function forEachRow(
  { shape, layout }: ScaledShape,
  fn: (start: number, end: number, first: number, step: number) => void,
): void {
  const [heads, channels] = [layout.indexOf('h'), layout.indexOf('d')];
  const last = shape.length - 1;
  const weight = (axis: number) => (axis === heads ? shape[channels]! : axis === channels ? 1 : 0);
  const length = shape[last]!;
  const index = new Array<number>(last).fill(0);
  const rows = shape.slice(0, last).reduce((product, size) => product * size, 1);
  for (let row = 0; row < rows; row++) {
    const first = index.reduce((sum, at, axis) => sum + at * weight(axis), 0);
    fn(row * length, (row + 1) * length, first, weight(last));
    for (let axis = last - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
}
