/** Widens float16 and bfloat16 to float32. */

let table: Float32Array | null = null;

/** Widens IEEE 754 binary16 (`float16`) to float32, exactly. */
export function widenFloat16(from: Uint16Array, into: Float32Array): void {
  table ??= float16Table();
  for (let i = 0; i < from.length; i++) into[i] = table[from[i]!]!;
}

/** Widens bfloat16, the upper half of a float32, exactly. */
export function widenBfloat16(from: Uint16Array, into: Float32Array): void {
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < from.length; i++) bits[i] = from[i]! << 16;
}

function float16Table(): Float32Array {
  const values = new Float32Array(0x10000);
  for (let bits = 0; bits < values.length; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = (bits & 0x3ff) / 0x400;
    if (exponent === 0x1f) values[bits] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else values[bits] = sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
  }
  return values;
}
