import type { StateEdges } from './program.js';

/** By byte: the number of its class, from 0. No edge distinguishes bytes of one class. */
export function byteClasses(states: readonly StateEdges[]): Uint8Array {
  const begins = new Uint8Array(257);
  for (const { bytes } of states) {
    for (const { first, last } of bytes) {
      begins[first] = 1;
      begins[last + 1] = 1;
    }
  }
  const classes = new Uint8Array(256);
  for (let byte = 1; byte < 256; byte++) classes[byte] = classes[byte - 1]! + begins[byte]!;
  return classes;
}
