/** Makes up the K/V of one layer of a small model: float16, 8 heads, 64 channels. Another seed gives other numbers. */
export function layerOf(seed, tokens = 64) {
  const shape = [8, tokens, 64];
  const tensor = (offset) => {
    const bits = new Uint16Array(8 * tokens * 64);
    let state = (seed + 1) * 2654435761 + offset;
    for (let i = 0; i < bits.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // A random sign and fraction, with exponents from 1/16 to 2, as K/V has.
      bits[i] = (state & 0x83ff) | ((11 + ((state >>> 16) % 5)) << 10);
    }
    return { dtype: 'float16', shape, layout: 'htd', bytes: new Uint8Array(bits.buffer) };
  };
  return { k: tensor(0), v: tensor(1) };
}

/** Whether two layers have the same bytes. */
export function isSame(a, b) {
  return ['k', 'v'].every((name) => Buffer.compare(a[name].bytes, b[name].bytes) === 0);
}

/** A coordinator of a running fleet: the first argument, or SHOAL_URL, or that of `shoal up`. */
export const url = process.argv[2] ?? process.env.SHOAL_URL ?? 'http://127.0.0.1:8080';
