import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { Corrupt, InvalidRequest } from '../../errors.js';

/** Frames of Zstandard (RFC 8878): by Node itself from 22.15 on, and by the package in older versions, which computes on the caller's thread. */

/** The part of `node:zlib` that exists from Node 22.15 on. */
interface NativeZstd {
  zstdCompress(bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void): void;
  zstdDecompress(bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void): void;
}

/** A faster level costs little of the ratio: fractions of K/V are noise. */
const LEVEL = 1;
/** `ZSTD_c_compressionLevel`. */
const COMPRESSION_LEVEL = 100;
/** The memory of the package's module is bounded. */
const PACKAGE_BYTES = 256 * 2 ** 20;
const MAGIC = 0xfd2fb528;

const native = 'zstdCompress' in zlib ? (zlib as unknown as NativeZstd) : null;

let opened: Promise<typeof import('@bokuweb/zstd-wasm')> | null = null;

/** The package, loaded once. @throws InvalidRequest for more bytes than it can hold */
function ofPackage(bytes: number): Promise<typeof import('@bokuweb/zstd-wasm')> {
  if (bytes > PACKAGE_BYTES) {
    throw new InvalidRequest(
      `zstd: a tensor of ${bytes} bytes is too large for Node ${process.versions.node}; use Node >= 22.15, or lz4`,
    );
  }
  opened ??= import('@bokuweb/zstd-wasm').then(async (module) => {
    await module.init();
    return module;
  });
  return opened;
}

export async function compressZstd(bytes: Uint8Array): Promise<Uint8Array> {
  if (native === null) return (await ofPackage(bytes.byteLength)).compress(bytes, LEVEL);
  const options = { params: { [COMPRESSION_LEVEL]: LEVEL }, pledgedSrcSize: bytes.byteLength };
  return promisify(native.zstdCompress)(bytes, options);
}

/** @param length how many bytes must come out. @throws Corrupt if the frame has others */
export async function decompressZstd(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  // The package takes memory for as many bytes as the frame says.
  if (contentBytes(bytes) !== length) throw corrupt();
  const result = await decompressed(bytes, length).catch((cause: unknown) => {
    throw cause instanceof InvalidRequest ? cause : corrupt(cause);
  });
  if (result.byteLength !== length) throw corrupt();
  return result;
}

async function decompressed(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  if (native !== null) return promisify(native.zstdDecompress)(bytes, { maxOutputLength: Math.max(1, length) });
  return (await ofPackage(Math.max(length, bytes.byteLength))).decompress(bytes);
}

/** The length of its content as a frame says it; null if these bytes are not a frame that says it. */
function contentBytes(frame: Uint8Array): number | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.byteLength < 6) return null;
  if (view.getUint32(0, true) !== MAGIC) return null;
  const descriptor = frame[4]!;
  const single = (descriptor & 0x20) !== 0;
  const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  if (size === 0 || at + size > frame.byteLength) return null;
  if (size === 1) return view.getUint8(at);
  if (size === 2) return view.getUint16(at, true) + 256;
  return size === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

function corrupt(cause?: unknown): Corrupt {
  return new Corrupt(
    'the Zstandard frame of a tensor is damaged, or has another length than its header says',
    cause === undefined ? {} : { cause },
  );
}
