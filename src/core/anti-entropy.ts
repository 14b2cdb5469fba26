import type { BlockKey, BlockMeta } from './block.js';
import type { HomesOf } from './replication.js';

/** Compares the blocks that two homes should both have by digests over parts of the key space, and chooses what to offer. */

/** Bytes of the digest of one bucket. */
export const BUCKET_DIGEST_BYTES = 8;
/** Limit on the buckets of a summary; a power of two. */
export const SUMMARY_BUCKETS = 4096;
const SUMMARY_BITS = Math.log2(SUMMARY_BUCKETS);
/** Blocks per bucket that a summary aims at: a bucket that differs is offered whole. */
const BLOCKS_PER_BUCKET = 16;

/** Whether two workers are both homes of a block. */
export function isShared({ segment }: BlockMeta, self: string, peer: string, homesOf: HomesOf): boolean {
  const homes = homesOf(segment);
  return homes.includes(self) && homes.includes(peer);
}

/** The number of buckets for this many blocks: a power of two. */
export function bucketsFor(blocks: number): number {
  let buckets = 1;
  while (buckets < SUMMARY_BUCKETS && buckets * BLOCKS_PER_BUCKET < blocks) buckets *= 2;
  return buckets;
}

/** Whether this many bytes can be a summary. */
export function isSummaryLength(bytes: number): boolean {
  const buckets = bytes / BUCKET_DIGEST_BYTES;
  return Number.isInteger(buckets) && buckets >= 1 && buckets <= SUMMARY_BUCKETS && (buckets & (buckets - 1)) === 0;
}

/** The bucket of a segment: the first bits of its key, so that all blocks of a segment are in one bucket. @internal exported for tests. */
export function bucketOf(segment: BlockKey, buckets: number): number {
  return Math.floor((positionOf(segment) * buckets) / SUMMARY_BUCKETS);
}

/**
 * A summary of a set of blocks: for each bucket, the exclusive or of 8 bytes of each key. Keys are SHA-256, so the digest of a bucket is as good as
 * random, and does not depend on the order of the blocks.
 */
export class Summary {
  private readonly words: Uint32Array;

  constructor(private readonly buckets: number) {
    this.words = new Uint32Array(2 * buckets);
  }

  add({ key, segment }: BlockMeta): void {
    const at = 2 * bucketOf(segment, this.buckets);
    this.words[at]! ^= Number.parseInt(key.slice(16, 24), 16);
    this.words[at + 1]! ^= Number.parseInt(key.slice(24, 32), 16);
  }

  get digests(): Uint8Array {
    const bytes = Buffer.alloc(this.buckets * BUCKET_DIGEST_BYTES);
    for (const [i, word] of this.words.entries()) bytes.writeUInt32BE(word, 4 * i);
    return bytes;
  }
}

/** The buckets whose digests differ, ascending. Both summaries have the same number of buckets. */
export function differingBuckets(own: Uint8Array, other: Uint8Array): number[] {
  const differing: number[] = [];
  for (let at = 0; at < own.byteLength; at += BUCKET_DIGEST_BYTES) {
    const [a, b] = [own, other].map((digests) => Buffer.from(digests.subarray(at, at + BUCKET_DIGEST_BYTES)));
    if (!a!.equals(b!)) differing.push(at / BUCKET_DIGEST_BYTES);
  }
  return differing;
}

export interface RoundOffers<B> {
  readonly blocks: readonly B[];
  /** Where the next round begins. */
  readonly cursor: number;
}

/**
 * The blocks to offer in one round, at most `most`: from the differing buckets, clockwise from where the last round ended, each segment in order.
 * @param cursor a position in `[0, SUMMARY_BUCKETS)`
 */
export function offersOf<B extends BlockMeta>(
  shared: readonly B[],
  differing: readonly number[],
  buckets: number,
  cursor: number,
  most: number,
): RoundOffers<B> {
  const wanted = new Set(differing);
  const distance = (segment: BlockKey) => (positionOf(segment) - cursor + SUMMARY_BUCKETS) % SUMMARY_BUCKETS;
  const candidates = shared
    .filter(({ segment }) => wanted.has(bucketOf(segment, buckets)))
    .sort((a, b) => distance(a.segment) - distance(b.segment) || compare(a.segment, b.segment) || a.index - b.index);
  const blocks = candidates.slice(0, most);
  const first = candidates[most];
  if (first === undefined) return { blocks, cursor };
  // A position with more blocks than a round is left behind, so that no position starves the others.
  const [begun, next] = [distance(blocks[0]!.segment), distance(first.segment)];
  return {
    blocks,
    cursor: begun === next ? (cursor + next + 1) % SUMMARY_BUCKETS : (cursor + next) % SUMMARY_BUCKETS,
  };
}

/** The place of a segment's key in the key space, in `[0, SUMMARY_BUCKETS)`. */
function positionOf(segment: BlockKey): number {
  return Number.parseInt(segment.slice(0, SUMMARY_BITS / 4), 16);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
