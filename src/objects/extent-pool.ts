/** Memory for whole extents, which is used again: fresh memory costs a page fault for each 4 KiB. */

/** Bytes of an extent; the last one of a value may have fewer. */
export const EXTENT_BYTES = 2 ** 20;

/** Extents that wait to be used again. */
const FREE_EXTENTS = 64;

const free: Buffer[] = [];

/** Memory of `bytes` bytes, at most `EXTENT_BYTES`. Its content is undefined. */
export function takeExtent(bytes: number): Buffer {
  if (bytes !== EXTENT_BYTES) return Buffer.allocUnsafeSlow(bytes);
  return free.pop() ?? Buffer.allocUnsafeSlow(EXTENT_BYTES);
}

/** Gives memory back, which nobody may read or write any more. */
export function giveExtent(extent: Buffer): void {
  if (extent.byteLength === EXTENT_BYTES && free.length < FREE_EXTENTS) free.push(extent);
}
