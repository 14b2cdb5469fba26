import type { Bus } from './bus.js';
import type { KeyValue } from './key-value.js';

/** Limits on all values of a bucket together. */
export interface BucketLimits {
  readonly maxBytes: number;
  /** Values, and traces of removed ones. */
  readonly maxValues: number;
}

/** Whether a value is of use to the members of a fleet. */
export type IsKept = (key: string, value: Uint8Array) => boolean;

/** The buckets in which a process makes room: none, those that it has created itself, or any. */
export type Sweeping = 'none' | 'created' | 'any';

/** The port through which the processes of a fleet communicate: a bus, and shared key-value buckets. */
export interface Transport {
  readonly bus: Bus;
  /**
   * Opens a bucket, and creates it if necessary, with these limits, which must be the same at each call. Rejects with Unsupported if this
   * transport has no buckets, with Unavailable if they cannot be reached now.
   */
  openKeyValue(bucket: string, limits?: BucketLimits): Promise<KeyValue>;
  /**
   * Creates a bucket that is missing, and looks whether it is full or has other settings than it was created with, which `storeFault` then tells.
   * If `sweeping` covers it, makes room in one that is nearly full: erases the traces of removed values, and the values that `isKept` rejects. Resolves
   * with the number of erased values, rejects as `openKeyValue` does. Absent where buckets need no such care.
   */
  tendBucket?(bucket: string, limits: BucketLimits, sweeping: Sweeping, isKept?: IsKept): Promise<number>;
  /** Why a bucket does not work at the moment, with a remedy; null if all answered last. Absent where this transport cannot tell. */
  storeFault?(): { readonly bucket: string; readonly why: string } | null;
  /** Messages so far that no member of the fleet sent, where this transport can tell. */
  strangerMessages?(): number;
}
