import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlockKey, BlockMeta, SealedBlock } from '../../../../src/core/block.js';
import { Residency } from '../../../../src/core/residency.js';
import { DEMOTE_AHEAD_SHARE, Demoter, type UpperTier } from '../../../../workers/cache/demoter.js';
import type { Tier } from '../../../../workers/cache/tier.js';

/** A tier of names over another, and how much of it was looked at. */
class Pair implements UpperTier {
  readonly residency: Residency<BlockMeta>;
  readonly below = new Set<BlockKey>();
  readonly copied: BlockKey[] = [];
  looked = 0;
  /** Blocks that the tier below takes without dropping another. */
  room = 0;
  readonly demoter: Demoter;

  constructor(readonly capacityBlocks: number) {
    this.residency = new Residency(capacityBlocks, () => {});
    const pair = this;
    const lower = {
      accepts: true,
      get hasRoom() {
        return pair.room > 0;
      },
      has: (key: BlockKey) => this.below.has(key),
      put: async ({ key }: SealedBlock) => this.land(key),
    } as unknown as Tier;
    const pin = async (key: BlockKey) => {
      this.copied.push(key);
      return { block: sealed(this.residency.get(key)!), bytes: new Uint8Array(), shared: null, unpin: () => {} };
    };
    this.demoter = new Demoter(this, pin, lower, 1);
  }

  get blocks(): number {
    return this.residency.size;
  }

  has(key: BlockKey): boolean {
    return this.residency.has(key);
  }

  *evictionOrder(): Generator<SealedBlock> {
    for (const meta of this.residency.evictionOrder()) {
      this.looked++;
      yield sealed(meta);
    }
  }

  insert(key: BlockKey): void {
    const parent = key.length > 1 ? key.slice(0, -1) : null;
    if (this.has(key)) return;
    while (this.blocks >= this.capacityBlocks) {
      const evicted = this.residency.evict(parent);
      if (evicted === null) return;
      this.demoter.forget(evicted.key);
    }
    const meta = { key, parent, index: key.length - 1, segment: key[0]! };
    this.residency.insert(meta, 'guest', meta);
    this.demoter.came(key);
  }

  land(key: BlockKey): boolean {
    this.room = Math.max(0, this.room - 1);
    this.below.add(key);
    this.demoter.forget(key);
    return true;
  }

  lose(key: BlockKey): void {
    if (this.below.delete(key)) this.demoter.lost(key);
  }

  /** What would be copied by looking at everything. */
  missing(ranks: number): BlockKey[] {
    const order = [...this.residency.evictionOrder()].map(({ key }) => key);
    return order.slice(0, Math.max(0, ranks)).filter((key) => !this.below.has(key));
  }

  get soonBlocks(): number {
    return Math.ceil(DEMOTE_AHEAD_SHARE * this.capacityBlocks) - (this.capacityBlocks - this.blocks);
  }
}

function sealed(meta: BlockMeta): SealedBlock {
  return { ...meta, digest: '', maker: { id: 'w', incarnation: '1' } };
}

describe('what copies blocks down ahead of need', () => {
  const path = fc.stringMatching(/^[a-d]{1,4}$/);
  const step = fc.record({ do: fc.constantFrom('insert', 'insert', 'insert', 'touch', 'lose', 'drop', 'work'), path });
  const steps = fc.array(step, { maxLength: 120, size: 'max' });

  async function play(pair: Pair, taken: readonly { do: string; path: BlockKey }[], check: () => Promise<void>) {
    for (const { do: what, path } of taken) {
      if (what === 'insert') pair.insert(path);
      if (what === 'touch') pair.residency.touch(path);
      if (what === 'lose') pair.lose(path);
      if (what === 'drop' && pair.residency.remove(path)) pair.demoter.forget(path);
      if (what === 'work') {
        await pair.demoter.idle();
        await check();
      }
    }
    await pair.demoter.idle();
    await check();
  }

  it('chooses the next blocks to be evicted, in order, if others have to be dropped for them', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 40 }), async (taken, capacity) => {
        const pair = new Pair(capacity);
        await play(pair, taken, async () => {
          const expected = pair.missing(pair.soonBlocks);
          pair.copied.length = 0;
          pair.demoter.wake();
          await pair.demoter.idle();
          expect(pair.copied).toEqual(expected);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('chooses all blocks that the lower tier lacks while there is room, the next to be evicted first', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 40 }), fc.nat(20), async (taken, capacity, room) => {
        const pair = new Pair(capacity);
        await play(pair, taken, async () => {
          const [soon, all] = [pair.missing(pair.soonBlocks), pair.missing(capacity)];
          pair.copied.length = 0;
          pair.room = room;
          pair.demoter.wake();
          await pair.demoter.idle();
          expect(pair.copied.slice(0, soon.length)).toEqual(soon);
          expect(pair.copied.length).toBe(Math.max(soon.length, Math.min(all.length, room)));
          expect(pair.copied.filter((key) => !all.includes(key))).toEqual([]);
          pair.room = 0;
        });
      }),
      { numRuns: 200 },
    );
  });

  it('examines only blocks that have to go soon, however many there are', async () => {
    const pair = new Pair(2_000);
    pair.room = 2_000;
    for (let n = 0; n < 2_000; n++) pair.insert(String.fromCharCode(0x1000 + n));
    await pair.demoter.idle();
    expect(pair.below.size).toBe(2_000);
    pair.room = 0;
    pair.looked = 0;
    pair.insert('x');
    await pair.demoter.idle();
    expect([pair.looked, pair.copied.includes('x')]).toEqual([2_000 * DEMOTE_AHEAD_SHARE, false]);
  });
});
