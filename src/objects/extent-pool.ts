/**
 * Memory for extents, which is used again: fresh memory costs a page fault for each 4 KiB, and makes the engine collect garbage. Values of an
 * engine's K/V have few sizes, so memory is found again by its exact size.
 */

/** Bytes of an extent; the last one of a value may have fewer. */
export const EXTENT_BYTES = 2 ** 20;

/** Limit on the bytes of extents that wait to be used again. @internal exported for tests. */
export const FREE_BYTES = 64 * EXTENT_BYTES;
/** Smaller memory is not worth keeping. @internal exported for tests. */
export const LEAST_KEPT_BYTES = 16 * 1024;

/** By their size; the size that was used least recently first. */
const free = new Map<number, Buffer[]>();
let freeBytes = 0;

/** Memory of `bytes` bytes, at most `EXTENT_BYTES`. Its content is undefined. */
export function takeExtent(bytes: number): Buffer {
  const extents = free.get(bytes);
  const extent = extents?.pop();
  if (extent === undefined) return Buffer.allocUnsafeSlow(bytes);
  freeBytes -= bytes;
  free.delete(bytes);
  if (extents!.length > 0) free.set(bytes, extents!);
  return extent;
}

/** Returns an extent to the pool. Nothing may read or write it afterwards. */
export function giveExtent(extent: Buffer): void {
  const { byteLength: bytes } = extent;
  if (bytes < LEAST_KEPT_BYTES) return;
  const extents = free.get(bytes) ?? [];
  free.delete(bytes);
  extents.push(extent);
  free.set(bytes, extents);
  freeBytes += bytes;
  while (freeBytes > FREE_BYTES) dropOne();
}

/** Drops memory of the size that was used least recently. */
function dropOne(): void {
  const [bytes, extents] = free.entries().next().value!;
  extents.pop();
  freeBytes -= bytes;
  if (extents.length === 0) free.delete(bytes);
}
