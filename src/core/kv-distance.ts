import { blockParts, ELEMENT_BYTES, type KvElementType, type KvLayout } from './kv-layout.js';
import { widenQuarter } from './quarter.js';
import { widenBfloat16, widenFloat16 } from './sampling/half.js';

/** How far two blocks are apart, and whether that can be the rounding of one computation done in another order. */

/** Of the tensor in which two blocks differ most, relative to the root mean square of the reference. */
interface KvDistance {
  /** Root mean square of the difference. */
  readonly rms: number;
  /** The largest difference of one element. */
  readonly largest: number;
}

/**
 * Bounds on the distance of the same block from other batches, chunks and devices. They are some hundred times the unit roundoff of the float types
 * (2^-24, 2^-11, 2^-8), because errors grow from layer to layer, and far below what another token makes (about 1).
 */
const BOUNDS: Record<KvElementType, KvDistance> = {
  float32: { rms: 0.002, largest: 0.05 },
  float16: { rms: 0.03, largest: 0.5 },
  bfloat16: { rms: 0.15, largest: 2 },
  // A different rounding moves an element by one step of its scale, which for 4 bits is a tenth of the root mean square.
  int8: { rms: 0.15, largest: 2 },
  uint8: { rms: 0.3, largest: 2 },
  float8e4m3fn: { rms: 0.3, largest: 2 },
  float8e5m2: { rms: 0.3, largest: 2 },
};

/** The distance of `block` from `reference`. Both have `blockBytes(layout)` bytes. Infinite where only one of them has an element that is not finite. @internal exported for tests. */
export function kvDistance(layout: KvLayout, reference: Uint8Array, block: Uint8Array): KvDistance {
  const distances = partDistances(layout, reference, block);
  return {
    rms: Math.max(...distances.map(({ rms }) => rms)),
    largest: Math.max(...distances.map(({ largest }) => largest)),
  };
}

/** Whether both blocks may come from the same tokens after the same prefix. */
export function agrees(layout: KvLayout, reference: Uint8Array, block: Uint8Array): boolean {
  return partDistances(layout, reference, block).every(({ elementType, rms, largest }) => {
    const bounds = BOUNDS[elementType];
    return rms <= bounds.rms && largest <= bounds.largest;
  });
}

function partDistances(
  layout: KvLayout,
  reference: Uint8Array,
  block: Uint8Array,
): (KvDistance & { readonly elementType: KvElementType })[] {
  let from = 0;
  return blockParts(layout).map(({ elementType, byteLength }) => {
    const to = from + byteLength;
    const part = (bytes: Uint8Array) => widened(bytes.subarray(from, to), elementType);
    const distance = tensorDistance(part(reference), part(block));
    from = to;
    return { elementType, ...distance };
  });
}

function tensorDistance(reference: Float32Array, block: Float32Array): KvDistance {
  let squares = 0;
  let errorSquares = 0;
  let largest = 0;
  for (let i = 0; i < reference.length; i++) {
    const value = reference[i]!;
    const other = block[i]!;
    if (Object.is(value, other) || value === other) {
      if (Number.isFinite(value)) squares += value * value;
      continue;
    }
    const error = Math.abs(value - other);
    if (!Number.isFinite(error)) return { rms: Number.POSITIVE_INFINITY, largest: Number.POSITIVE_INFINITY };
    squares += value * value;
    errorSquares += error * error;
    if (error > largest) largest = error;
  }
  if (errorSquares === 0) return { rms: 0, largest: 0 };
  const scale = Math.sqrt(squares / reference.length);
  return { rms: Math.sqrt(errorSquares / reference.length) / scale, largest: largest / scale };
}

/** As float32. Copies, where the bytes do not begin at a whole element. */
function widened(bytes: Uint8Array, type: KvElementType): Float32Array {
  const { buffer, byteOffset, byteLength } = byteOffsetFits(bytes, type) ? bytes : bytes.slice();
  if (type === 'float32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  if (type !== 'float16' && type !== 'bfloat16')
    return widenQuarter(new Uint8Array(buffer, byteOffset, byteLength), type);
  const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const values = new Float32Array(halves.length);
  if (type === 'float16') widenFloat16(halves, values);
  else widenBfloat16(halves, values);
  return values;
}

function byteOffsetFits({ byteOffset }: Uint8Array, type: KvElementType): boolean {
  return byteOffset % ELEMENT_BYTES[type] === 0;
}
