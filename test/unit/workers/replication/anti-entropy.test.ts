import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settled } from '../../../../src/clock.js';
import { BUCKET_DIGEST_BYTES, SUMMARY_BUCKETS } from '../../../../src/core/anti-entropy.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import { SEGMENT_BLOCKS } from '../../../../src/limits.js';
import {
  ANTI_ENTROPY_BLOCKS_PER_S,
  ANTI_ENTROPY_ROUND_BLOCKS,
  ANTI_ENTROPY_SWEEP_MS,
  AntiEntropy,
} from '../../../../workers/replication/anti-entropy.js';
import { REPLICATION_PAUSE_MS } from '../../../../workers/replication/creditors.js';
import { RepairShare } from '../../../../workers/replication/repair-share.js';
import { Replicator } from '../../../../workers/replication/replicator.js';
import { chain } from '../support/cache.js';
import { type Neighbour, Town } from '../support/town.js';

/** The anti-entropy pass, between workers that compare themselves over real connections in simulated time. */

const FULL_PAUSES = { next: () => 0, below: () => 0, bytes: (count: number) => new Uint8Array(count) };

describe('anti-entropy', () => {
  let town: Town;
  let own: Neighbour;
  /** What each worker says of itself last. */
  const lacking = new Map<string, number>();
  const noRoom = new Map<string, number>();
  let moved: number;
  let passes: Pass[];

  interface Pass {
    readonly antiEntropy: AntiEntropy;
    readonly replicator: Replicator;
    readonly share: RepairShare;
  }

  beforeEach(async () => {
    town = await Town.open();
    own = await town.add('own');
    lacking.clear();
    noRoom.clear();
    moved = 0;
    passes = [];
  });
  afterEach(async () => {
    for (const { replicator } of passes) replicator.stop();
    town.tell(Object.assign({ state: 'draining' as const }, { id: 'own' }));
    expect(await town.close()).toEqual([]);
  });

  function start(of: Neighbour): Pass {
    const share = new RepairShare(town.clock);
    const common = {
      self: of.id,
      store: of.cache.store,
      peers: of.client,
      roster: of.roster,
      clock: town.clock,
      random: FULL_PAUSES,
      replicas: 2,
      share,
      onMoved: (blocks: number) => (moved += blocks),
    };
    const onLag = (_: number, blocks: number) => lacking.set(of.id, blocks);
    const replicator = new Replicator({ ...common, durability: 'strict', onLag });
    const onNoRoom = (copies: number) => noRoom.set(of.id, copies);
    const antiEntropy = new AntiEntropy({ ...common, replicator, onNoRoom });
    of.comparer = (peer, summary) => antiEntropy.compare(peer, summary);
    const pass = { antiEntropy, replicator, share };
    passes.push(pass);
    return pass;
  }
  async function pass(ms: number, stepMs = 100): Promise<void> {
    const endMs = town.clock.now() + ms;
    while (town.clock.now() < endMs) {
      await town.clock.advance(Math.min(stepMs, endMs - town.clock.now()));
      for (let i = 0; i < 4; i++) await settled();
    }
  }
  function sweep(): Promise<void> {
    return pass(ANTI_ENTROPY_SWEEP_MS + 2_000);
  }
  function holders(blocks: readonly BlockMeta[]): string[] {
    return town.neighbours.filter(({ cache }) => cache.run(blocks) === blocks.length).map(({ id }) => id);
  }
  function promptAt(homes: string, blocks = SEGMENT_BLOCKS, name = 'prompt'): BlockMeta[] {
    for (let i = 0; ; i++) {
      const prompt = chain(`${name} ${i}`, blocks);
      if (own.roster.ring.homes(prompt[0]!.segment, 2).sort().join() === homes) return prompt;
    }
  }

  it('gives a home the blocks of another home that no worker owes it', async () => {
    const a = await town.add('a');
    await town.add('b');
    for (const of of town.neighbours) start(of);
    const blocks = promptAt('a,own');
    own.cache.fill(blocks, 'pushed');
    const others = promptAt('a,own', SEGMENT_BLOCKS, 'other');
    a.cache.fill(others, 'pushed');
    await sweep();
    expect([holders(blocks), holders(others)]).toEqual([
      ['own', 'a'],
      ['own', 'a'],
    ]);
    expect(moved).toBe(2 * SEGMENT_BLOCKS);
    expect([...noRoom.values()]).toEqual([0, 0, 0]);
  });

  it('offers no block if the homes agree, and no block of which only one is a home', async () => {
    const a = await town.add('a');
    const b = await town.add('b');
    for (const of of town.neighbours) start(of);
    const [shared, guests, others] = [promptAt('a,own'), promptAt('a,b'), promptAt('b,own')];
    own.cache.fill(shared, 'pushed');
    a.cache.fill(shared, 'pushed');
    // A guest copy at this worker; its homes have none.
    own.cache.fill(guests, 'fetched');
    b.cache.fill(others, 'pushed');
    own.cache.fill(others, 'pushed');
    await sweep();
    expect([own, a, b].map(({ door }) => door.offered)).toEqual([[], [], []]);
    expect(holders(guests)).toEqual(['own']);
  });

  it('repairs the debts of a dead worker', async () => {
    const [giver, silent] = [await town.add('giver'), await town.add('silent')];
    for (const of of town.neighbours) start(of);
    const blocks = promptAt('own,silent');
    await silent.shut();
    giver.cache.fill(blocks);
    await pass(2 * REPLICATION_PAUSE_MS);
    expect(holders(blocks)).toEqual(['own', 'giver']);
    expect(lacking.get('giver')).toBe(SEGMENT_BLOCKS);
    passes[1]!.replicator.stop();
    await giver.shut();
    giver.cache.store.reset();
    town.bury('giver');
    await silent.reopen();
    await sweep();
    expect(holders(blocks)).toEqual(['own', 'silent']);
    expect(lacking.get('own')).toBe(0);
  });

  it('evicts no other blocks, counts the copies without room, and continues when there is room', async () => {
    const small = await town.add('small', SEGMENT_BLOCKS);
    start(own);
    small.cache.fill(promptAt('own,small', SEGMENT_BLOCKS, 'kept'), 'pushed');
    start(small);
    own.cache.fill(promptAt('own,small', SEGMENT_BLOCKS, 'kept'), 'pushed');
    const blocks = promptAt('own,small');
    own.cache.fill(blocks, 'pushed');
    await sweep();
    expect(noRoom.get('own')).toBe(SEGMENT_BLOCKS);
    expect([lacking.get('own') ?? 0, moved]).toEqual([0, 0]);
    expect(passes[0]!.replicator.lagBlocks).toBe(0);
    expect(small.cache.events).toEqual(Array(SEGMENT_BLOCKS).fill('+pushed'));
    small.cache.store.reset();
    await sweep();
    expect(holders(blocks).length + holders(promptAt('own,small', SEGMENT_BLOCKS, 'kept')).length).toBe(3);
    await sweep();
    expect(noRoom.get('own')).toBe(SEGMENT_BLOCKS);
    town.bury('small');
    expect(noRoom.get('own')).toBe(0);
  });

  it('settles a debt that a home refused before', async () => {
    const small = await town.add('small', SEGMENT_BLOCKS);
    for (const of of town.neighbours) start(of);
    const kept = small.cache.fill(promptAt('own,small', SEGMENT_BLOCKS, 'kept'), 'pushed');
    const pins = kept.map(({ key }) => small.cache.store.pinOnDevice(key));
    const blocks = promptAt('own,small');
    own.cache.fill(blocks);
    await pass(5_000);
    expect([lacking.get('own'), passes[0]!.replicator.lagBlocks]).toEqual([SEGMENT_BLOCKS, 0]);
    await sweep();
    expect([lacking.get('own'), noRoom.get('own')]).toEqual([0, SEGMENT_BLOCKS]);
    for (const pin of pins) pin!.unpin();
    small.cache.store.reset();
    await sweep();
    // This worker has the other prompt too by now, and there is room for one of them.
    expect(small.cache.store.blocks).toBe(SEGMENT_BLOCKS);
    expect([lacking.get('own'), noRoom.get('own')]).toEqual([0, SEGMENT_BLOCKS]);
  });

  it("leaves the replicator's debts to the replicator", async () => {
    const a = await town.add('a');
    const { replicator } = start(own);
    await a.shut();
    const blocks = promptAt('a,own');
    own.cache.fill(blocks);
    await pass(REPLICATION_PAUSE_MS);
    expect(replicator.owes(blocks[0]!.key, 'a')).toBe(true);
    start(a);
    await a.reopen();
    await sweep();
    expect(a.door.offered.length).toBe(SEGMENT_BLOCKS);
  });

  it('offers no more blocks per second than the bound, and no more in a round', async () => {
    const blocks = Array.from({ length: ANTI_ENTROPY_ROUND_BLOCKS + 400 }, (_, i) => chain(`prompt ${i}`, 1)).flat();
    const large = await town.add('large', blocks.length);
    const other = await town.add('other', blocks.length);
    town.bury('own');
    start(large);
    start(other);
    large.cache.fill(blocks, 'pushed');
    let before = 0;
    let most = 0;
    for (let second = 0; second < ANTI_ENTROPY_SWEEP_MS / 1_000 + 5; second++) {
      await pass(1_000, second * 1_000 < ANTI_ENTROPY_SWEEP_MS - 1_000 ? 1_000 : 10);
      most = Math.max(most, other.door.offered.length - before);
      before = other.door.offered.length;
    }
    expect(most).toBeLessThanOrEqual(ANTI_ENTROPY_BLOCKS_PER_S + 32);
    expect(other.door.offered.length).toBe(ANTI_ENTROPY_ROUND_BLOCKS);
    await pass(ANTI_ENTROPY_SWEEP_MS + 5_000);
    expect(other.cache.store.blocks).toBe(blocks.length);
  });

  it('takes a share of the transfer rate while requests run', async () => {
    const a = await town.add('a');
    const { share } = start(own);
    start(a);
    share.watch(() => true);
    const tookMs = 400;
    const push = own.client.push.bind(own.client);
    const begunMs: number[] = [];
    own.client.push = async (...args) => {
      begunMs.push(town.clock.now());
      const taken = await push(...args);
      await new Promise<void>((resolve) => town.clock.after(tookMs, resolve));
      return taken;
    };
    for (let i = 0; i < 4; i++) own.cache.fill(chain(`prompt ${i}`, SEGMENT_BLOCKS), 'pushed');
    await sweep();
    expect(begunMs.length).toBe(2);
    expect(begunMs[1]! - begunMs[0]!).toBeGreaterThanOrEqual(4 * tookMs);
  });

  it('rests while its worker has no place on the ring', async () => {
    const a = await town.add('a');
    start(own);
    start(a);
    let compared = 0;
    a.comparer = async () => {
      compared++;
      return null;
    };
    own.cache.fill(promptAt('a,own'), 'pushed');
    own.roster.hear({ ...own.says, state: 'draining' });
    await sweep();
    expect(compared).toBe(0);
    // It comes back as another incarnation.
    own.roster.hear({ ...own.says, incarnation: '0002' });
    await sweep();
    expect(compared).toBe(1);
    own.roster.hear({ ...own.says, incarnation: '0002', state: 'draining' });
  });

  it('does not compare with a worker on another ring, and runs one comparison at a time', async () => {
    await town.add('a');
    const { antiEntropy } = start(own);
    const digests = new Uint8Array(SUMMARY_BUCKETS * BUCKET_DIGEST_BYTES);
    const { epoch } = own.roster;
    own.cache.fill(promptAt('a,own'), 'pushed');
    expect(await antiEntropy.compare('a', { epoch: 'another', digests })).toBeNull();
    const [first, second] = await Promise.all([
      antiEntropy.compare('a', { epoch, digests }),
      antiEntropy.compare('a', { epoch, digests }),
    ]);
    expect([first?.length, second]).toEqual([1, null]);
    own.roster.hear({ ...own.says, state: 'draining' });
    expect(await antiEntropy.compare('a', { epoch: own.roster.epoch, digests })).toBeNull();
  });
});
