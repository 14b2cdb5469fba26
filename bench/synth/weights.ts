import { createHash } from 'node:crypto';
import { float16Bits } from '../../src/model/float16.js';

/** Generates the elements of weights by rule from seed, name and index. */

/** Generates the elements of a tensor from index `first` on. Any range can be generated, so a tensor does not have to fit in memory. */
export type Fill = (target: Float32Array | Uint16Array | Uint8Array, first: number) => void;

export type WeightType = 'float32' | 'float16';

/** A sum of four uniform bytes approximates a normal distribution. */
const SUMS = 4 * 255 + 1;
const DEVIATION = Math.sqrt((4 * (256 * 256 - 1)) / 12);

/**
 * Elements drawn approximately from N(0, `deviation`), in steps of 1/148 deviation and within 3.45 deviations. Each depends only on seed, name
 * and index.
 * @param zeroColumn a column, of rows of `columns` elements, that is 0 instead
 */
export function normal(
  draw: { seed: number; name: string; deviation: number; type: WeightType },
  zeroColumn?: { index: number; columns: number },
): Fill {
  const [keyA, keyB] = tensorKeys(draw.seed, draw.name);
  const table = normalTable(draw.deviation, draw.type);
  return (target, first) => {
    fillNormal(target, first, table, keyA, keyB);
    if (!zeroColumn) return;
    const { index, columns } = zeroColumn;
    const start = (index - (first % columns) + columns) % columns;
    for (let i = start; i < target.length; i += columns) target[i] = 0;
  };
}

function tensorKeys(seed: number, name: string): [number, number] {
  const digest = createHash('sha256').update(`${seed}\0${name}`).digest();
  return [digest.readInt32LE(0), digest.readInt32LE(4)];
}

function normalTable(deviation: number, type: WeightType): Float32Array | Uint16Array {
  const values = Float32Array.from({ length: SUMS }, (_, sum) => ((sum - (SUMS - 1) / 2) / DEVIATION) * deviation);
  return type === 'float32' ? values : Uint16Array.from(values, float16Bits);
}

/**
 * A counter-based generator of two keys and MurmurHash3's finalizer (https://github.com/aappleby/smhasher), with an additional round for the
 * second key. Its 32 bits make one element.
 */
function fillNormal(
  target: Float32Array | Uint16Array | Uint8Array,
  first: number,
  table: Float32Array | Uint16Array | Uint8Array,
  keyA: number,
  keyB: number,
): void {
  for (let i = 0; i < target.length; i++) {
    let x = (first + i) ^ keyA;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x ^= x >>> 16;
    x = Math.imul((x ^ keyB) >>> 0, 0x9e3779b1);
    x ^= x >>> 15;
    target[i] = table[(x & 255) + ((x >>> 8) & 255) + ((x >>> 16) & 255) + (x >>> 24)]!;
  }
}

/** The deviation of `evenBytes`, and of a half of such a byte. */
export const EVEN_DEVIATION = { byte: Math.sqrt((256 * 256 - 1) / 12), half: Math.sqrt((16 * 16 - 1) / 12) } as const;

/** Bytes that are about equally frequent, so that their halves are too. */
export function evenBytes(draw: { seed: number; name: string }): Fill {
  const [keyA, keyB] = tensorKeys(draw.seed, draw.name);
  // The lowest bits of the sum of four even bytes are even.
  const table = Uint8Array.from({ length: SUMS }, (_, sum) => sum & 255);
  return (target, first) => fillNormal(target, first, table, keyA, keyB);
}

/** Elements that all equal `value`. */
export function constant(value: number, type: WeightType): Fill {
  const element = type === 'float32' ? value : float16Bits(value);
  return (target) => target.fill(element);
}

/** Cosines or sines of rotary position embeddings `[positions, headDim / 2]`, for the angles `position / theta^(2 i / headDim)`. */
export function rotary(part: (angle: number) => number, headDim: number, theta: number, type: WeightType): Fill {
  const columns = headDim / 2;
  const frequencies = Array.from({ length: columns }, (_, i) => 1 / theta ** ((2 * i) / headDim));
  return (target, first) => {
    for (let i = 0; i < target.length; i++) {
      const position = Math.floor((first + i) / columns);
      const value = part(position * frequencies[(first + i) % columns]!);
      target[i] = type === 'float32' ? value : float16Bits(value);
    }
  };
}
