import type { Bus } from './bus.js';
import type { KeyValue } from './key-value.js';

/** Whether a value is of use to the members of a fleet. */
export type IsKept = (key: string, value: Uint8Array) => boolean;

/** The port through which the processes of a fleet communicate: a bus, and shared key-value buckets. */
export interface Transport {
  readonly bus: Bus;
  /**
   * Opens a bucket, and creates it if necessary, for at most `maxBytes`, which must be the same at each call. Rejects with Unsupported if this
   * transport has no buckets, with Unavailable if they cannot be reached now.
   */
  openKeyValue(bucket: string, maxBytes?: number): Promise<KeyValue>;
  /**
   * Makes room in a bucket that is nearly full: erases the traces of removed values, and the values that `isKept` rejects. Creates the bucket if it is
   * missing. Resolves with the number of erased values, rejects as \`openKeyValue\` does. Absent where buckets need no such care.
   */
  tendBucket?(bucket: string, maxBytes: number, isKept: IsKept): Promise<number>;
  /** Why a bucket does not work at the moment, with a remedy; null if all answered last. Absent where this transport cannot tell. */
  storeFault?(): { readonly bucket: string; readonly why: string } | null;
  /** Messages so far that no member of the fleet sent, where this transport can tell. */
  strangerMessages?(): number;
}
