import { constants as bufferConstants } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import type { SharedMemoryReader } from '../core/shared-memory-reader.js';
import type { SharedPlace } from '../core/shared-place.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle } from './handle.js';
import { dropPages, mapFile, neverShrinks, peerProcess, unmap } from './libc.js';
import { SHARED_MEMORY_NAME } from './shared-memory.js';

/** The shared memory of the process at the other end of a Unix socket, mapped for reading. */

/** Limit on the memory files of one peer that this process maps. */
const PEER_MEMORY_REGIONS = 4096;

/** One memory file of another process, mapped for reading. */
class Region extends Handle {
  readonly bytes: Uint8Array;

  constructor(
    pointer: Pointer,
    readonly byteLength: number,
  ) {
    super('mapping', pointer);
    this.bytes = viewMemory(pointer, byteLength);
  }

  dropPages(): void {
    dropPages(this.pointer, this.byteLength);
  }

  protected override free(pointer: Pointer): void {
    unmap(pointer, this.byteLength);
  }
}

/** Shared memory of another process, mapped file by file as it is read. */
class ProcessMemory implements SharedMemoryReader {
  private readonly regions = new Map<number, Region>();
  usable = true;

  constructor(private readonly pid: number) {}

  bytesAt({ fileDescriptor, offset }: SharedPlace, byteLength: number): Uint8Array | null {
    const region = this.usable ? this.region(fileDescriptor) : null;
    if (region === null || offset + byteLength > region.byteLength) {
      this.close();
      return null;
    }
    return region.bytes.subarray(offset, offset + byteLength);
  }

  dropPages(): void {
    for (const region of this.regions.values()) region.dropPages();
  }

  close(): void {
    this.usable = false;
    for (const region of this.regions.values()) region.release();
    this.regions.clear();
  }

  private region(fileDescriptor: number): Region | null {
    const known = this.regions.get(fileDescriptor);
    if (known) return known;
    if (this.regions.size >= PEER_MEMORY_REGIONS) return null;
    const region = mapRegion(`/proc/${this.pid}/fd/${fileDescriptor}`);
    if (region) this.regions.set(fileDescriptor, region);
    return region;
  }
}

/** Maps a memory file that `SharedMemory` made, that this user owns, and that cannot shrink under its readers; null for any other file. */
function mapRegion(path: string): Region | null {
  let opened: number | null = null;
  try {
    if (!readlinkSync(path).startsWith(`/memfd:${SHARED_MEMORY_NAME}`)) return null;
    // Does not block, should another file have taken this descriptor meanwhile.
    opened = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { size, uid } = fstatSync(opened);
    if (size === 0 || size > bufferConstants.MAX_LENGTH) return null;
    if (uid !== process.getuid?.() || !neverShrinks(opened)) return null;
    const pointer = mapFile(opened, size, 'read');
    return pointer === null ? null : new Region(pointer, size);
  } catch {
    return null;
  } finally {
    if (opened !== null) closeSync(opened);
  }
}

/**
 * The shared memory of the process at the other end of a Unix socket. The kernel says which process that is, so a peer cannot lie about it.
 * Null if the kernel does not say, or the process is another user's.
 */
export function openProcessMemory(socketFileDescriptor: number): SharedMemoryReader | null {
  const peer = peerProcess(socketFileDescriptor);
  return peer !== null && peer.uid === process.getuid?.() ? new ProcessMemory(peer.pid) : null;
}
