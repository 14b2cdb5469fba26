import { z } from 'zod';
import { Corrupt } from '../../errors.js';
import { type ElementType, tensorBytes } from '../../ort/element-type.js';

/** Reads and writes safetensors files: https://huggingface.co/docs/safetensors. */

/** Limit on the header. The format's own is 100 MB; a million tensors would be in the way of everything else. */
const HEADER_BYTES = 16 * 2 ** 20;
const TYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const satisfies Record<string, ElementType>;

const Entry = z.object({
  dtype: z.string(),
  shape: z.array(z.int().min(0)).max(8),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const Header = z.record(z.string(), z.unknown());

/** A tensor of a file. */
export interface NamedTensor {
  readonly name: string;
  readonly elementType: (typeof TYPES)[keyof typeof TYPES];
  readonly dims: readonly number[];
  /** The elements, little-endian, row by row. */
  readonly data: Uint8Array;
}

/**
 * Reads the tensors of a file, whose data are views of `bytes`.
 * @throws Corrupt if the bytes are not a safetensors file, or a tensor is not float32, float16 or bfloat16
 */
export function readSafetensors(bytes: Uint8Array): NamedTensor[] {
  const header = readHeader(bytes);
  const data = bytes.subarray(8 + header.length);
  const tensors: NamedTensor[] = [];
  for (const [name, value] of Object.entries(header.entries)) {
    if (name !== '__metadata__') tensors.push(readTensor(name, value, data));
  }
  return tensors;
}

function readHeader(bytes: Uint8Array): { entries: Record<string, unknown>; length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length < 8 ? Number.NaN : Number(view.getBigUint64(0, true));
  if (!(length <= Math.min(HEADER_BYTES, bytes.length - 8)))
    throw new Corrupt('the file is not a safetensors file: its header has no valid length');
  try {
    const entries = Header.parse(JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()));
    return { entries, length };
  } catch {
    throw new Corrupt('the file is not a safetensors file: its header is not a JSON object');
  }
}

function readTensor(name: string, value: unknown, data: Uint8Array): NamedTensor {
  const entry = Entry.safeParse(value);
  if (!entry.success) throw new Corrupt(`the tensor "${name}" has no valid description`);
  const {
    dtype,
    shape: dims,
    data_offsets: [start, end],
  } = entry.data;
  const elementType = Object.hasOwn(TYPES, dtype) ? TYPES[dtype as keyof typeof TYPES] : null;
  if (elementType === null)
    throw new Corrupt(`the type of the tensor "${name}" must be one of ${Object.keys(TYPES).join(', ')}, got ${dtype}`);
  if (start > end || end > data.length || end - start !== tensorBytes(elementType, dims))
    throw new Corrupt(`the tensor "${name}" has bytes ${start} to ${end}, which is not ${elementType}[${dims}]`);
  return { name, elementType, dims, data: data.subarray(start, end) };
}

/** Encodes a file, in pieces that follow one another. */
export function writeSafetensors(tensors: readonly NamedTensor[]): Uint8Array[] {
  let at = 0;
  const entries = tensors.map(({ name, elementType, dims, data }) => {
    const dtype = Object.entries(TYPES).find(([, type]) => type === elementType)![0];
    const entry = { dtype, shape: dims, data_offsets: [at, at + data.length] };
    at += data.length;
    return [name, entry] as const;
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  // Padded so that the data are aligned.
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return [length, header, ...tensors.map(({ data }) => data)];
}
