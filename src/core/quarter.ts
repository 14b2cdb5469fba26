import type { FloatType, KvElementType } from './kv-layout.js';

/** Numbers of one byte as float32. */

type QuarterType = Exclude<KvElementType, FloatType>;

/** Widens elements of one byte. Integers are widened without their scale, around the usual zero point. */
export function widenQuarter(bytes: Uint8Array, type: QuarterType): Float32Array {
  return Float32Array.from(bytes, (byte) => WIDENED[type][byte]!);
}

/** The value of each byte. */
const WIDENED: Record<QuarterType, Float32Array> = {
  int8: table((byte) => (byte << 24) >> 24),
  uint8: table((byte) => byte - 128),
  float8e4m3fn: table((byte) => ((byte & 0x7f) === 0x7f ? Number.NaN : minifloat(byte, 3, 7))),
  float8e5m2: table((byte) => ((byte & 0x7f) < 0x7c ? minifloat(byte, 2, 15) : special(byte))),
};

function table(value: (byte: number) => number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, byte) => value(byte));
}

/** A finite number with a sign, an exponent and `mantissaBits` (https://arxiv.org/abs/2209.05433). */
function minifloat(byte: number, mantissaBits: number, bias: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte & 0x7f) >> mantissaBits;
  const fraction = (byte & ((1 << mantissaBits) - 1)) / (1 << mantissaBits);
  return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

/** An infinity or a NaN of float8e5m2. */
function special(byte: number): number {
  if ((byte & 3) !== 0) return Number.NaN;
  return byte & 0x80 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}
