import { widenBfloat16, widenFloat16 } from '../../core/sampling/half.js';
import { FLOAT_BYTES, type KVFloat } from '../kv-tensor.js';

/** Floating-point numbers of 16 and 8 bits as bytes, from and to float32. Narrowing rounds to the nearest, ties to even. */

/** `float8e4m3fn` has 4 bits of exponent, 3 of fraction, and no infinities (P. Micikevicius et al., "FP8 Formats for Deep Learning", 2022). */
export type NarrowFloat = Exclude<KVFloat, 'float32'> | 'float8e4m3fn';

const INFINITY_BITS = 0x7f800000;

/** A format that is narrower than float32 in its exponent too. */
interface Narrow {
  /** Bits of the fraction of a float32 that the format lacks. */
  readonly dropped: number;
  /** The exponent field of a float32 that is the format's smallest normal number. */
  readonly leastExponent: number;
  /** Bits of the float32 from which on a number becomes `most`. */
  readonly mostFrom: number;
  readonly most: number;
  readonly nan: number;
}

const FLOAT16: Narrow = { dropped: 13, leastExponent: 113, mostFrom: 0x477ff000, most: 0x7c00, nan: 0x7e00 };
/** Numbers that are too large, infinities included, become the largest number, as in ONNX's cast. */
const FLOAT8: Narrow = { dropped: 20, leastExponent: 121, mostFrom: 0x43e00000, most: 0x7e, nan: 0x7f };

/** The elements of a tensor as float32. @param bytes of whole elements */
export function widen(dtype: 'float32' | NarrowFloat, bytes: Uint8Array): Float32Array {
  const size = dtype === 'float8e4m3fn' ? 1 : FLOAT_BYTES[dtype];
  const into = new Float32Array(bytes.byteLength / size);
  if (dtype === 'float32') new Uint8Array(into.buffer).set(bytes);
  else if (dtype === 'float8e4m3fn') widenFloat8(bytes, into);
  else if (dtype === 'float16') widenFloat16(words(bytes), into);
  else widenBfloat16(words(bytes), into);
  return into;
}

/** These numbers as elements of a type. */
export function narrow(dtype: 'float32' | NarrowFloat, from: Float32Array): Uint8Array {
  if (dtype === 'float32') return bytesOf(from);
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  if (dtype === 'float8e4m3fn') {
    const into = new Uint8Array(from.length);
    for (let i = 0; i < into.length; i++) into[i] = narrowed(bits[i]!, FLOAT8, 24);
    return into;
  }
  const into = new Uint16Array(from.length);
  if (dtype === 'bfloat16') for (let i = 0; i < into.length; i++) into[i] = bfloat16(bits[i]!);
  else for (let i = 0; i < into.length; i++) into[i] = narrowed(bits[i]!, FLOAT16, 16);
  return bytesOf(into);
}

/** @param signShift by which the sign moves down */
function narrowed(bits: number, { dropped, leastExponent, mostFrom, most, nan }: Narrow, signShift: number): number {
  const sign = (bits & 0x80000000) >>> signShift;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > INFINITY_BITS) return sign | nan;
  if (magnitude >= mostFrom) return sign | most;
  const exponent = magnitude >>> 23;
  if (exponent >= leastExponent) {
    const half = (1 << (dropped - 1)) - 1 + ((magnitude >>> dropped) & 1);
    return sign | ((magnitude + half - ((leastExponent - 1) << 23)) >>> dropped);
  }
  const shift = dropped + leastExponent - exponent;
  if (shift > 24) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const whole = fraction >>> shift;
  const rest = fraction & (2 ** shift - 1);
  const tie = 2 ** (shift - 1);
  return sign | (rest > tie || (rest === tie && (whole & 1) === 1) ? whole + 1 : whole);
}

function bfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > INFINITY_BITS) return (bits >>> 16) | 0x40;
  return ((bits >>> 0) + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

let table: Float32Array | null = null;

function widenFloat8(from: Uint8Array, into: Float32Array): void {
  table ??= Float32Array.from({ length: 256 }, (_, bits) => float8(bits));
  for (let i = 0; i < from.length; i++) into[i] = table[from[i]!]!;
}

function float8(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1;
  const exponent = (bits >> 3) & 0xf;
  const fraction = (bits & 7) / 8;
  if ((bits & 0x7f) === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -6 : (1 + fraction) * 2 ** (exponent - 7));
}

/** A copy, since the bytes may begin at any address. */
function words(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(new Uint8Array(bytes).buffer);
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint16Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
