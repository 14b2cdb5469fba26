import { z } from 'zod';
import { Corrupt, InvalidRequest } from '../errors.js';

/**
 * K and V of one layer as the bytes of an object: four bytes with the length of a header, the least significant first; the header, which is JSON; the bytes
 * of K; the bytes of V.
 */

/** A tensor as it lies in memory. The client passes its bytes on, and does not look into them. */
export interface KVTensor {
  /** For instance `float16`. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface KVLayer {
  readonly k: KVTensor;
  readonly v: KVTensor;
}

const LENGTH_BYTES = 4;
const HEADER_BYTES = 4_096;
const DIMENSIONS = 16;
const DTYPE_CHARS = 32;

const Described = z.strictObject({
  dtype: z.string().min(1).max(DTYPE_CHARS),
  shape: z.array(z.int().min(0)).max(DIMENSIONS),
  bytes: z.int().min(0),
});
const Header = z.strictObject({ k: Described, v: Described });

/** The pieces of a layer, in order. @throws InvalidRequest for a dtype or a shape that cannot be described */
export function packLayer({ k, v }: KVLayer): Uint8Array[] {
  const about = { k: described(k), v: described(v) };
  const checked = Header.safeParse(about);
  if (!checked.success) {
    const { path, message } = checked.error.issues[0]!;
    throw new InvalidRequest(`${path.join('.')}: ${message}`);
  }
  const header = Buffer.from(JSON.stringify(about));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(header.byteLength);
  return [length, header, k.bytes, v.bytes];
}

/** The layer in these bytes, of which its tensors are views. @throws Corrupt if they are none */
export function unpackLayer(bytes: Buffer): KVLayer {
  const length = bytes.byteLength < LENGTH_BYTES ? HEADER_BYTES + 1 : bytes.readUInt32LE();
  const start = LENGTH_BYTES + length;
  const header = length <= HEADER_BYTES ? Header.safeParse(json(bytes.subarray(LENGTH_BYTES, start))) : null;
  if (!header?.success) throw new Corrupt('the object is not the K/V of a layer: its header is missing');
  const { k, v } = header.data;
  const middle = start + k.bytes;
  if (middle + v.bytes !== bytes.byteLength) {
    throw new Corrupt(
      `the K/V of a layer has ${bytes.byteLength - start} bytes, and its header says ${k.bytes} + ${v.bytes}`,
    );
  }
  return { k: { ...k, bytes: bytes.subarray(start, middle) }, v: { ...v, bytes: bytes.subarray(middle) } };
}

function described({ dtype, shape, bytes }: KVTensor): z.input<typeof Described> {
  return { dtype, shape: [...shape], bytes: bytes.byteLength };
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}
