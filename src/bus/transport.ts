import type { Bus } from './bus.js';
import type { KeyValue } from './key-value.js';

/** The port through which the processes of a fleet reach each other: a bus, and buckets of values that all see alike. */
export interface Transport {
  readonly bus: Bus;
  /** Opens a bucket, which is made if it is not there. Rejects with Unavailable where this transport has no buckets. */
  openKeyValue(bucket: string): Promise<KeyValue>;
  /** Messages so far that no member of the fleet sent, where this transport can tell. */
  strangerMessages?(): number;
}
