import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BUCKET_DIGEST_BYTES,
  bucketOf,
  bucketsFor,
  differingBuckets,
  isShared,
  isSummaryLength,
  offersOf,
  SUMMARY_BUCKETS,
  Summary,
} from '../../../src/core/anti-entropy.js';
import type { BlockMeta } from '../../../src/core/block.js';
import { type HomesOf, homesOnce } from '../../../src/core/replication.js';
import { SEGMENT_BLOCKS } from '../../../src/limits.js';
import { Ring } from '../../../src/ring/ring.js';

/** How two homes find out which blocks one of them lacks, and that rounds of it bring every block to all its homes. */

const REPLICAS = 2;

function segmentOf(name: string): BlockMeta[] {
  const segment = hash('sha256', name);
  return Array.from({ length: SEGMENT_BLOCKS }, (_, index) => ({
    key: index === 0 ? segment : hash('sha256', `${name} ${index}`),
    parent: null,
    index,
    segment,
  }));
}

const BLOCKS = Array.from({ length: 24 }, (_, i) => segmentOf(`segment ${i}`)).flat();

function summaryOf(blocks: readonly BlockMeta[], buckets: number): Uint8Array {
  const summary = new Summary(buckets);
  for (const block of blocks) summary.add(block);
  return summary.digests;
}

describe('a summary', () => {
  it('is the same for the same blocks in any order, and differs in the buckets of the blocks that differ', () => {
    fc.assert(
      fc.property(fc.subarray(BLOCKS), fc.subarray(BLOCKS), fc.constantFrom(1, 4, 64), (own, other, buckets) => {
        expect(summaryOf([...own].reverse(), buckets)).toEqual(summaryOf(own, buckets));
        const differing = differingBuckets(summaryOf(own, buckets), summaryOf(other, buckets));
        const either = [...own.filter((b) => !other.includes(b)), ...other.filter((b) => !own.includes(b))];
        const expected = [...new Set(either.map(({ segment }) => bucketOf(segment, buckets)))].sort((a, b) => a - b);
        expect(differing).toEqual(expected);
      }),
    );
  });

  it('has a power of two of buckets, more for more blocks, up to a bound', () => {
    expect([0, 16, 17, 1_000, 10_000_000].map(bucketsFor)).toEqual([1, 1, 2, 64, SUMMARY_BUCKETS]);
    for (const blocks of [0, 17, 1_000, 10_000_000]) {
      expect(isSummaryLength(bucketsFor(blocks) * BUCKET_DIGEST_BYTES)).toBe(true);
    }
    const wrong = [0, 1, BUCKET_DIGEST_BYTES + 1, 3 * BUCKET_DIGEST_BYTES, 2 * SUMMARY_BUCKETS * BUCKET_DIGEST_BYTES];
    expect(wrong.filter(isSummaryLength)).toEqual([]);
  });
});

describe('the offers of a round', () => {
  it('are the blocks of the buckets that differ, no more than the bound, and all of them after some rounds', () => {
    fc.assert(
      fc.property(
        fc.subarray(BLOCKS),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(SUMMARY_BUCKETS - 1),
        (own, most, from) => {
          const buckets = 16;
          const differing = differingBuckets(summaryOf(own, buckets), summaryOf([], buckets));
          const offered = new Set<BlockMeta>();
          let cursor = from;
          // A position of the key space has one segment here, which a round of fewer blocks leaves unfinished.
          const rounds = 2 + Math.ceil(own.length / Math.min(most, 1 + own.length));
          for (let round = 0; round < 2 * rounds + 24; round++) {
            const offers = offersOf(own, differing, buckets, cursor, most);
            expect(offers.blocks.length).toBeLessThanOrEqual(most);
            expect(offers.cursor).toBeLessThan(SUMMARY_BUCKETS);
            for (const block of offers.blocks) offered.add(block);
            cursor = offers.cursor;
          }
          if (most >= SEGMENT_BLOCKS) expect(offered).toEqual(new Set(own));
        },
      ),
    );
  });

  it('are empty without differences', () => {
    expect(offersOf(BLOCKS, [], 64, 7, 100)).toEqual({ blocks: [], cursor: 7 });
  });

  it('give a segment in order', () => {
    const [segment] = [segmentOf('one')];
    const { blocks } = offersOf([...segment].reverse(), [0], 1, 0, 100);
    expect(blocks).toEqual(segment);
  });
});

/** A fleet whose workers have any blocks, and room for so many more. Messages between them may be lost. */
class SimulatedHomes {
  readonly held = new Map<string, Set<BlockMeta>>();
  private readonly room = new Map<string, number>();
  private readonly cursors = new Map<string, number>();
  ids: string[] = [];
  private homes: HomesOf = () => [];
  /** Blocks that were sent, and the most that were offered in one round. */
  sent = 0;
  mostOffered = 0;

  constructor(private readonly mostPerRound: number) {}

  join(id: string, blocks: readonly BlockMeta[], room: number): void {
    this.held.set(id, new Set(blocks));
    this.room.set(id, room);
  }

  setRing(ids: readonly string[]): void {
    this.ids = [...ids];
    const ring = new Ring(ids.map((id) => ({ id, incarnation: '1', weight: 1 })));
    this.homes = homesOnce((segment) => ring.homes(segment, REPLICAS));
  }

  /** Every worker compares itself with every other. */
  sweep(lost: () => boolean = () => false): void {
    for (const self of this.ids)
      for (const peer of this.ids) if (self !== peer && !lost()) this.round(self, peer, lost);
  }

  /** Homes that lack a block of another home and have room for it. */
  lacking(): string[] {
    return BLOCKS.flatMap((block) => {
      const homes = this.homes(block.segment);
      if (!homes.some((id) => this.held.get(id)!.has(block))) return [];
      return homes.filter((id) => !this.held.get(id)!.has(block) && this.room.get(id)! > 0);
    });
  }

  private round(self: string, peer: string, lost: () => boolean): void {
    const shared = (id: string, other: string) =>
      [...this.held.get(id)!].filter((block) => isShared(block, id, other, this.homes));
    const own = shared(self, peer);
    const buckets = bucketsFor(own.length);
    const differing = differingBuckets(summaryOf(own, buckets), summaryOf(shared(peer, self), buckets));
    const name = `${self} ${peer}`;
    const offers = offersOf(own, differing, buckets, this.cursors.get(name) ?? 0, this.mostPerRound);
    this.cursors.set(name, offers.cursor);
    this.mostOffered = Math.max(this.mostOffered, offers.blocks.length);
    for (const block of offers.blocks) {
      if (lost() || this.held.get(peer)!.has(block) || this.room.get(peer) === 0) continue;
      this.room.set(peer, this.room.get(peer)! - 1);
      this.held.get(peer)!.add(block);
      this.sent++;
    }
  }
}

describe('anti-entropy', () => {
  it('brings every block that a home has to all its homes that have room, after any losses and ring changes', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const member = fc.record({ blocks: fc.subarray(BLOCKS), room: fc.oneof(fc.constant(1_000), fc.nat(60)) });
    const phase = fc.record({
      ring: fc.subarray(ids, { minLength: 2 }),
      losses: fc.infiniteStream(fc.boolean()),
      sweeps: fc.nat(2),
    });
    fc.assert(
      fc.property(
        fc.array(member, { minLength: 5, maxLength: 5 }),
        fc.array(phase, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(8, 20, 1_000),
        (members, phases, most) => {
          const fleet = new SimulatedHomes(most);
          for (const [i, { blocks, room }] of members.entries()) fleet.join(ids[i]!, blocks, room);
          for (const { ring, losses, sweeps } of phases) {
            fleet.setRing(ring);
            for (let i = 0; i < sweeps; i++) fleet.sweep(() => losses.next().value!);
          }
          // At most all blocks differ between two homes, in rounds of `most`; positions are gone round twice.
          const rounds = 2 * Math.ceil(BLOCKS.length / most) + 4;
          for (let i = 0; i < rounds; i++) fleet.sweep();
          expect(fleet.lacking()).toEqual([]);
          expect(fleet.mostOffered).toBeLessThanOrEqual(most);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('moves and offers no block if all homes agree, whatever guests have', () => {
    const fleet = new SimulatedHomes(1_000);
    for (const id of ['a', 'b', 'c', 'd']) fleet.join(id, [], 1_000);
    const ring = new Ring(['a', 'b', 'c'].map((id) => ({ id, incarnation: '1', weight: 1 })));
    for (const block of BLOCKS)
      for (const home of ring.homes(block.segment, REPLICAS)) fleet.held.get(home)!.add(block);
    // The first worker has everything, as a guest; so has one that is not on the ring.
    for (const block of BLOCKS) for (const id of ['a', 'd']) fleet.held.get(id)!.add(block);
    fleet.setRing(['a', 'b', 'c']);
    fleet.sweep();
    expect([fleet.sent, fleet.mostOffered]).toEqual([0, 0]);
  });
});
