import { z } from 'zod';
import { Corrupt, InvalidRequest } from '../errors.js';
import { decodedBytes, decodeTensor, encodeTensor, type KVEncoding, TensorHeader } from './encoding/tensor-encoding.js';
import type { KVLayer } from './kv-tensor.js';

/**
 * K and V of one layer as the bytes of an object: four bytes with the length of a header, the least significant first; the header, which is JSON; the bytes
 * of K; the bytes of V.
 */

const LENGTH_BYTES = 4;
const HEADER_BYTES = 4_096;

const Header = z.strictObject({ k: TensorHeader, v: TensorHeader });

/** The pieces of a layer, in order. Rejects with `InvalidRequest` for tensors that cannot be described, or not be encoded in this way. */
export async function packLayer({ k, v }: KVLayer, encoding: KVEncoding): Promise<Uint8Array[]> {
  const encoded = { k: await ofTensor('k', k, encoding), v: await ofTensor('v', v, encoding) };
  const header = Buffer.from(JSON.stringify({ k: encoded.k.header, v: encoded.v.header }));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(header.byteLength);
  return [length, header, ...encoded.k.pieces, ...encoded.v.pieces];
}

async function ofTensor(name: string, ...[tensor, encoding]: Parameters<typeof encodeTensor>) {
  try {
    return await encodeTensor(tensor, encoding);
  } catch (error) {
    throw error instanceof InvalidRequest ? new InvalidRequest(`${name}.${error.message}`) : error;
  }
}

/**
 * The layer in these bytes. Tensors that were stored as they are are views of them. Rejects with `Corrupt` if they are none.
 * @param mostBytes limit on K and V once they are decoded
 */
export async function unpackLayer(bytes: Buffer, mostBytes: number): Promise<KVLayer> {
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
  const decoded = decodedBytes(k) + decodedBytes(v);
  if (decoded > mostBytes) {
    throw new Corrupt(`the K/V of a layer would have ${decoded} bytes; this client takes ${mostBytes}`);
  }
  return {
    k: await decodeTensor(k, bytes.subarray(start, middle)),
    v: await decodeTensor(v, bytes.subarray(middle)),
  };
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return null;
  }
}
