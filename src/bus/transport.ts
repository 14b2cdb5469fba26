import type { Bus } from './bus.js';
import type { KeyValue } from './key-value.js';

/** The port through which the processes of a fleet communicate: a bus, and shared key-value buckets. */
export interface Transport {
  readonly bus: Bus;
  /**
   * Opens a bucket, and creates it if necessary, for at most `maxBytes`, which must be the same at each call. Rejects with Unsupported if this
   * transport has no buckets, with Unavailable if they cannot be reached now.
   */
  openKeyValue(bucket: string, maxBytes?: number): Promise<KeyValue>;
  /** Why a bucket does not work at the moment, with a remedy; null if all answered last. Absent where this transport cannot tell. */
  storeFault?(): { readonly bucket: string; readonly why: string } | null;
  /** Messages so far that no member of the fleet sent, where this transport can tell. */
  strangerMessages?(): number;
}
