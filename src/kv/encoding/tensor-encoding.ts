import { z } from 'zod';
import { Corrupt, InvalidRequest } from '../../errors.js';
import { elementsOf, FLOAT_BYTES, isFloat, type KVTensor } from '../kv-tensor.js';
import { shuffle, unshuffle } from './byte-shuffle.js';
import { narrow, widen } from './float-bits.js';
import { dequantize, quantize, type ScaledShape, scaleCount } from './int8-scales.js';
import { compressLz4, decompressLz4 } from './lz4.js';
import { compressZstd, decompressZstd } from './zstd.js';

/** A tensor as the bytes that are stored, and a description that leads back: first a cast, which may lose precision, then a compression, which loses nothing. */

const CASTS = ['float16', 'bfloat16', 'int8', 'float8e4m3fn'] as const;
const COMPRESSIONS = ['lz4', 'zstd'] as const;

/** `int8` has a scale for each channel of each head. */
export type KVCast = (typeof CASTS)[number];
export type KVCompression = (typeof COMPRESSIONS)[number];

/** How tensors are stored. Default: as they are. */
export interface KVEncoding {
  /** The stored element type. A reader gets the tensor's own element type back, with the precision that the cast has left. */
  readonly cast?: KVCast | undefined;
  readonly compression?: KVCompression | undefined;
}

const CAST_BYTES: Record<KVCast, number> = { float16: 2, bfloat16: 2, int8: 1, float8e4m3fn: 1 };
const SCALE_BYTES = 4;
const DIMENSIONS = 16;
const DTYPE_CHARS = 32;

/** A tensor in a header. */
export const TensorHeader = z.strictObject({
  dtype: z.string().min(1).max(DTYPE_CHARS),
  shape: z.array(z.int().min(0)).max(DIMENSIONS),
  layout: z
    .string()
    .regex(/^[a-z]*$/)
    .max(DIMENSIONS)
    .optional(),
  /** All that is stored. */
  bytes: z.int().min(0),
  cast: z.enum(CASTS).optional(),
  compression: z
    .strictObject({
      name: z.enum(COMPRESSIONS),
      /** Bytes before the compression. */
      bytes: z.int().min(0),
      /** Bytes of an element, for the shuffling of bytes; 1 for none. */
      shuffle: z.int().min(1).max(8),
    })
    .optional(),
});
export type TensorHeader = z.infer<typeof TensorHeader>;

export interface EncodedTensor {
  readonly header: TensorHeader;
  /** The stored bytes, in order: the scales of `int8`, then the elements. */
  readonly pieces: readonly Uint8Array[];
}

/** @throws InvalidRequest for a tensor that cannot be described or cast */
export async function encodeTensor(tensor: KVTensor, encoding: KVEncoding): Promise<EncodedTensor> {
  const { dtype, shape, layout, bytes } = tensor;
  if (layout !== undefined && new Set(layout).size !== shape.length) {
    throw new InvalidRequest(`layout: must have one letter for each of ${shape.length} axes, got "${layout}"`);
  }
  if (isFloat(dtype) && elementsOf(shape) * FLOAT_BYTES[dtype] !== bytes.byteLength) {
    throw new InvalidRequest(`shape: [${shape}] of ${dtype} has other than ${bytes.byteLength} bytes`);
  }
  // There is nothing to cast in a tensor without elements, and in one that has the type already.
  const cast = bytes.byteLength === 0 || encoding.cast === dtype ? undefined : encoding.cast;
  const { scales, elements, size } = castTensor(tensor, cast);
  const compression = encoding.compression;
  const stored = compression === undefined ? elements : await compress(compression, shuffle(elements, size));
  const header = TensorHeader.safeParse({
    dtype,
    shape: [...shape],
    layout,
    bytes: scales.byteLength + stored.byteLength,
    cast,
    compression: compression && { name: compression, bytes: elements.byteLength, shuffle: size },
  });
  if (!header.success) {
    const { path, message } = header.error.issues[0]!;
    throw new InvalidRequest(`${path.join('.')}: ${message}`);
  }
  return { header: header.data, pieces: [scales, stored] };
}

/** Bytes of a tensor after its decoding. Call it before using any other field of the header. @throws Corrupt if the header contradicts itself */
export function decodedBytes(header: TensorHeader): number {
  const { dtype, shape, layout, bytes, cast, compression } = header;
  const elements = elementsOf(shape);
  const scales = cast === 'int8' ? SCALE_BYTES * scaleCount(scaledShape(header)) : 0;
  const data = compression?.bytes ?? bytes - scales;
  const size = cast === undefined ? (isFloat(dtype) ? FLOAT_BYTES[dtype] : null) : CAST_BYTES[cast];
  const agrees =
    scales <= bytes &&
    (layout === undefined || new Set(layout).size === shape.length) &&
    (cast === undefined || (isFloat(dtype) && elements > 0)) &&
    (size === null || elements * size === data) &&
    (compression === undefined || data % compression.shuffle === 0);
  if (!agrees) throw new Corrupt('the header of a tensor contradicts itself');
  return cast === undefined ? data : elements * FLOAT_BYTES[dtype as keyof typeof FLOAT_BYTES];
}

/** @param stored as many bytes as the header says; they are the tensor's own if it was stored as it is. @throws Corrupt if they are damaged */
export async function decodeTensor(header: TensorHeader, stored: Uint8Array): Promise<KVTensor> {
  const { dtype, shape, layout, cast, compression } = header;
  const scaleBytes = cast === 'int8' ? SCALE_BYTES * scaleCount(scaledShape(header)) : 0;
  const packed = stored.subarray(scaleBytes);
  const elements =
    compression === undefined
      ? packed
      : unshuffle(await decompress(compression.name, packed, compression.bytes), compression.shuffle);
  const about = { dtype, shape, ...(layout !== undefined && { layout }) };
  if (cast === undefined || !isFloat(dtype)) return { ...about, bytes: elements };
  if (cast !== 'int8') return { ...about, bytes: narrow(dtype, widen(cast, elements)) };
  const scales = widen('float32', stored.subarray(0, scaleBytes));
  const values = new Int8Array(elements.buffer, elements.byteOffset, elements.byteLength);
  return { ...about, bytes: narrow(dtype, dequantize(values, scales, scaledShape(header))) };
}

interface CastElements {
  readonly scales: Uint8Array;
  readonly elements: Uint8Array;
  /** Bytes of an element; 1 for an unknown type. */
  readonly size: number;
}

function castTensor({ dtype, shape, layout, bytes }: KVTensor, cast: KVCast | undefined): CastElements {
  const scales = new Uint8Array(0);
  if (cast === undefined) return { scales, elements: bytes, size: isFloat(dtype) ? FLOAT_BYTES[dtype] : 1 };
  if (!isFloat(dtype)) throw new InvalidRequest(`cast: dtype ${dtype} cannot be cast; store it as it is`);
  const floats = widen(dtype, bytes);
  if (cast !== 'int8') return { scales, elements: narrow(cast, floats), size: CAST_BYTES[cast] };
  if (!layout?.includes('h') || !layout.includes('d')) {
    throw new InvalidRequest('layout: the cast int8 needs the axes h (heads) and d (channels), for instance "htd"');
  }
  const quantized = quantize(floats, { shape, layout });
  return { scales: bytesOf(quantized.scales), elements: bytesOf(quantized.values), size: 1 };
}

function scaledShape({ shape, layout }: TensorHeader): ScaledShape {
  if (layout?.length === shape.length && layout.includes('h') && layout.includes('d')) return { shape, layout };
  throw new Corrupt('the header of a tensor has scales and no axes for them');
}

function compress(name: KVCompression, bytes: Uint8Array): Promise<Uint8Array> | Uint8Array {
  return name === 'lz4' ? compressLz4(bytes) : compressZstd(bytes);
}

function decompress(name: KVCompression, bytes: Uint8Array, length: number): Promise<Uint8Array> | Uint8Array {
  return name === 'lz4' ? decompressLz4(bytes, length) : decompressZstd(bytes, length);
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
