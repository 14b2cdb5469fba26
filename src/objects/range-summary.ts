import { BUCKET_DIGEST_BYTES } from '../core/anti-entropy.js';
import { digestOf } from '../digest.js';
import { type ObjectHash, POSITIONS, positionOf } from './object-name.js';
import type { Held } from './object-node.js';

/** Digests of the objects and deletions in a part of the ring, by which two homes find out where they differ. */

/** Buckets of one summary. */
export const RANGE_BUCKETS = 512;
/** Limit on the parts into which the ring is divided. */
export const RING_PARTS = 2 ** 20;

/** One of so many equal parts of the ring, counted from 0. */
export interface RingPart {
  readonly part: number;
  readonly parts: number;
}

/** The bucket of an object; null if the object is not in this part. */
export function bucketInPart(hash: ObjectHash, { part, parts }: RingPart): number | null {
  const bucket = Math.floor((positionOf(hash) / POSITIONS) * parts * RANGE_BUCKETS) - part * RANGE_BUCKETS;
  return bucket >= 0 && bucket < RANGE_BUCKETS ? bucket : null;
}

/** For each bucket of a part, the exclusive or of its objects' digests, which does not depend on their order. */
export class RangeSummary {
  readonly digests = Buffer.alloc(RANGE_BUCKETS * BUCKET_DIGEST_BYTES);

  constructor(private readonly part: RingPart) {}

  /** Adds an object or a deletion, if it is in the part. */
  add({ hash, version: { at, writer } }: Held): void {
    const bucket = bucketInPart(hash, this.part);
    if (bucket === null) return;
    const digest = Buffer.from(digestOf(Buffer.from(`${hash} ${at} ${writer}`)), 'hex');
    for (let i = 0; i < BUCKET_DIGEST_BYTES; i++) this.digests[bucket * BUCKET_DIGEST_BYTES + i]! ^= digest[i]!;
  }
}
