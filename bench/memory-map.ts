import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { viewMemory } from '../src/native/ffi.js';
import { mapFile, memoryFile, unmap } from '../src/native/libc.js';

/** The quickest way to read the bytes of another process of this host: to map a file in memory that it has filled. */

const PAGE_BYTES = 4_096;
const CHUNK_BYTES = 2 ** 20;

/** Milliseconds to map such a file and to read a byte of each page. @throws Error where the system has no such files */
export async function mappedMs(byteLength: number): Promise<number> {
  const file = memoryFile('shoal-bench');
  if (file === null) throw new Error('this system has no files in memory');
  try {
    ftruncateSync(file, byteLength);
    const chunk = new Uint8Array(CHUNK_BYTES).fill(1);
    for (let at = 0; at < byteLength; at += CHUNK_BYTES) writeSync(file, chunk, 0, CHUNK_BYTES, at);
    const startMs = performance.now();
    const pointer = mapFile(file, byteLength, 'read');
    if (pointer === null) throw new Error('the system maps no file');
    const view = viewMemory(pointer, byteLength);
    let sum = 0;
    for (let at = 0; at < byteLength; at += PAGE_BYTES) sum += view[at]!;
    const tookMs = performance.now() - startMs;
    unmap(pointer, byteLength);
    if (sum !== byteLength / PAGE_BYTES) throw new Error('the map has other bytes than the file');
    return tookMs;
  } finally {
    closeSync(file);
  }
}
