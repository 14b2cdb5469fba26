import type { BlockKey } from './block.js';

/**
 * Counts different blocks over many workers and many answers, in a fixed size: the smallest digests of the keys. Samples can be joined in any order and
 * any number of times. The count is exact up to `SAMPLED_KEYS`, and an estimate beyond, with a standard error below one percent. Pure.
 */

/** Bytes of a digest in a sample: two different keys of a full sample are taken for one with a probability of one in two million. */
export const SAMPLE_KEY_BYTES = 6;
/** Digests of a sample: 96 KiB. */
export const SAMPLED_KEYS = 16_384;

const DIGESTS = 2 ** (8 * SAMPLE_KEY_BYTES);

/** The number of different keys. */
export interface KeyCount {
  readonly keys: number;
  readonly exact: boolean;
}

/** The sample of some keys, packed, `SAMPLE_KEY_BYTES` for each, in ascending order. */
export function sampleOf(keys: Iterable<BlockKey>): Uint8Array {
  return smallest(Float64Array.from(keys, (key) => Number.parseInt(key.slice(0, 2 * SAMPLE_KEY_BYTES), 16)));
}

/** The sample of all the keys of which these are samples. */
export function joinedSamples(samples: readonly Uint8Array[]): Uint8Array {
  return smallest(Float64Array.from(samples.flatMap(digestsOf)));
}

/** The number of different keys of which this is a sample. */
export function countSampled(sample: Uint8Array): KeyCount {
  const digests = digestsOf(sample);
  if (digests.length < SAMPLED_KEYS) return { keys: digests.length, exact: true };
  return { keys: Math.round(((SAMPLED_KEYS - 1) * DIGESTS) / (digests.at(-1)! + 1)), exact: false };
}

function digestsOf(sample: Uint8Array): number[] {
  const bytes = Buffer.from(sample.buffer, sample.byteOffset, sample.byteLength);
  return Array.from({ length: Math.floor(bytes.length / SAMPLE_KEY_BYTES) }, (_, i) =>
    bytes.readUIntBE(i * SAMPLE_KEY_BYTES, SAMPLE_KEY_BYTES),
  );
}

function smallest(digests: Float64Array): Uint8Array {
  digests.sort();
  const kept = digests.filter((digest, i) => digest !== digests[i - 1]).subarray(0, SAMPLED_KEYS);
  const bytes = Buffer.alloc(kept.length * SAMPLE_KEY_BYTES);
  for (const [i, digest] of kept.entries()) bytes.writeUIntBE(digest, i * SAMPLE_KEY_BYTES, SAMPLE_KEY_BYTES);
  return bytes;
}
