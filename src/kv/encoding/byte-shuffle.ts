/**
 * Brings together the bytes of elements that are of the same significance: exponents of K/V repeat, fractions do not, so that a compressor finds more
 * (K. Masui et al., "A compression scheme for radio data in high performance computing", 2015).
 */

/** @param size bytes of an element; `bytes` has whole elements */
export function shuffle(bytes: Uint8Array, size: number): Uint8Array {
  if (size === 1) return bytes;
  const count = bytes.length / size;
  const into = new Uint8Array(bytes.length);
  for (let place = 0; place < size; place++) {
    for (let i = 0, from = place, to = place * count; i < count; i++, from += size) into[to++] = bytes[from]!;
  }
  return into;
}

export function unshuffle(bytes: Uint8Array, size: number): Uint8Array {
  if (size === 1) return bytes;
  const count = bytes.length / size;
  const into = new Uint8Array(bytes.length);
  for (let place = 0; place < size; place++) {
    for (let i = 0, to = place, from = place * count; i < count; i++, to += size) into[to] = bytes[from++]!;
  }
  return into;
}
