const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * Sizes in which ONNX Runtime's WebGPU provider has its memory: it takes the next larger of these, so that freed memory fits again, and beyond the
 * last one what was asked for (`BUCKET_DEFAULT_LIMIT_TABLE` in core/providers/webgpu/buffer_manager.cc).
 */
const SIZES_BYTES = [
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

/** Bytes of device memory that a WebGPU buffer of so many bytes takes up. */
export function footprintBytes(byteLength: number): number {
  const size = SIZES_BYTES.find((bytes) => bytes >= byteLength);
  return size ?? Math.ceil(byteLength / 16) * 16;
}
