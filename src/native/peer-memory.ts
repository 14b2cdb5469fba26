import { constants as bufferConstants } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readlinkSync } from 'node:fs';
import type { SharedPlace } from '../core/shared-place.js';
import { PEER_MEMORY_REGIONS } from '../limits.js';
import type { PeerMemory } from '../peer/client/peer-memory.js';
import { type Pointer, viewMemory } from './ffi.js';
import { Handle } from './handle.js';
import { dropPages, mapFile, neverShrinks, peerProcess, unmap } from './libc.js';
import { SHARED_MEMORY_NAME } from './shared-memory.js';

/** One memory file of another process, mapped to be read. */
class Region extends Handle {
  readonly bytes: Uint8Array;

  constructor(
    pointer: Pointer,
    readonly byteLength: number,
  ) {
    super('mapping', pointer);
    this.bytes = viewMemory(pointer, byteLength);
  }

  rest(): void {
    dropPages(this.pointer, this.byteLength);
  }

  protected override free(pointer: Pointer): void {
    unmap(pointer, this.byteLength);
  }
}

/** Shared memory of the process at the other end of a Unix socket: which process that is, the kernel says, and not the process. */
class ProcessMemory implements PeerMemory {
  private readonly regions = new Map<number, Region>();
  usable = true;

  constructor(private readonly pid: number) {}

  view({ fileDescriptor, offset }: SharedPlace, byteLength: number): Uint8Array | null {
    const region = this.usable ? this.region(fileDescriptor) : null;
    if (region === null || offset + byteLength > region.byteLength) {
      this.close();
      return null;
    }
    return region.bytes.subarray(offset, offset + byteLength);
  }

  rest(): void {
    for (const region of this.regions.values()) region.rest();
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

/** Maps a memory file that is what `SharedMemory` makes, of this user, and cannot be cut short under its readers; else null. */
function mapRegion(path: string): Region | null {
  let opened: number | null = null;
  try {
    if (!readlinkSync(path).startsWith(`/memfd:${SHARED_MEMORY_NAME}`)) return null;
    // Not to wait for anybody, should it be something else by now.
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

/** The shared memory of the process at the other end of a Unix socket; null where that cannot be known, or is another user's. */
export function openPeerMemory(socketFileDescriptor: number): PeerMemory | null {
  const peer = peerProcess(socketFileDescriptor);
  return peer !== null && peer.uid === process.getuid?.() ? new ProcessMemory(peer.pid) : null;
}
