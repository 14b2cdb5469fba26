import type { SharedPlace } from './shared-place.js';

/** Memory that another process of this host shares. */

/** The port: memory of the process at the other end of a link that this process can read. */
export interface SharedMemoryReader {
  /** Whether memory can be read here. Once false, it stays false. */
  readonly usable: boolean;
  /**
   * The bytes at a place, which their owner may change when they are not pinned any more; null if they cannot be read, and then `usable` is
   * false. Valid until `close`.
   */
  bytesAt(place: SharedPlace, byteLength: number): Uint8Array | null;
  /** Lets go of the pages that were read, so that this process's memory does not count them. The bytes that `bytesAt` returned stay valid. */
  dropPages(): void;
  close(): void;
}

/** Opens the shared memory of the process at the other end of a Unix socket; null if it cannot be read. */
export type OpenSharedMemory = (socketFileDescriptor: number) => SharedMemoryReader | null;
