/**
 * The random draw for (seed, position), by the counter-based generator Philox4x32-10.
 *
 * Philox is a keyed bijection of a counter, so any draw can be computed without the earlier ones (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011).
 */

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

type PhiloxBlock = readonly [number, number, number, number];

/** The four 32-bit words that `key` maps `counter` to. All words are unsigned. @internal exported for tests. */
export function philox4x32(counter: PhiloxBlock, key: readonly [number, number]): PhiloxBlock {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/**
 * The draw for one token, uniform in [0, 1) with 53 bits. It depends only on the seed and on the token's position in its sequence, so a stream
 * resumed on another worker continues identically. The key is the seed's low and high 32 bits; the counter is the position's, then zeros.
 */
export function uniformAt(seed: number, position: number): number {
  const [high, low] = philox4x32([position >>> 0, upperWord(position), 0, 0], [seed >>> 0, upperWord(seed)]);
  return ((high >>> 5) * 0x4000000 + (low >>> 6)) / 0x20000000000000;
}

function upperWord(integer: number): number {
  return Math.floor(integer / 0x100000000) >>> 0;
}

/** The upper 32 bits of a 32 x 32-bit product, computed by halves because a double has only 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}
