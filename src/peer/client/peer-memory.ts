import type { SharedPlace } from '../../core/shared-place.js';

/** Memory of the process at the other end of a link, as far as it lets this one read it. */
export interface PeerMemory {
  /** Whether there is anything to be had here. Once false, it stays so. */
  readonly usable: boolean;
  /** The bytes at a place, which their owner may change when it no longer lends them; null, for good, if they cannot be had. Valid until `close`. */
  view(place: SharedPlace, byteLength: number): Uint8Array | null;
  /** Nothing is read for the time being. Views stay valid. */
  rest(): void;
  close(): void;
}

/** Finds the memory of the process at the other end of a Unix socket; null if there is none to be had. */
export type OpenPeerMemory = (socketFileDescriptor: number) => PeerMemory | null;
