/** The device memory that a WebGPU buffer takes up. */

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * The buffer sizes of ONNX Runtime's WebGPU provider. It rounds a size up to the next bucket, so that freed buffers can be reused; larger
 * sizes are not rounded to a bucket (`BUCKET_DEFAULT_LIMIT_TABLE` in core/providers/webgpu/buffer_manager.cc).
 */
const BUCKET_BYTES = [
  64,
  128,
  256,
  512,
  2 * KiB,
  4 * KiB,
  8 * KiB,
  16 * KiB,
  32 * KiB,
  64 * KiB,
  128 * KiB,
  256 * KiB,
  512 * KiB,
  1 * MiB,
  2 * MiB,
  4 * MiB,
  8 * MiB,
  12 * MiB,
  16 * MiB,
  25 * MiB,
  32 * MiB,
  44_236_800,
  58_982_400,
  64 * MiB,
  128 * MiB,
  160 * MiB,
] as const;

/** The bytes of device memory that a buffer of `byteLength` bytes takes up. */
export function footprintBytes(byteLength: number): number {
  const size = BUCKET_BYTES.find((bytes) => bytes >= byteLength);
  return size ?? Math.ceil(byteLength / 16) * 16;
}
