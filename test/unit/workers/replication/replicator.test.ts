import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import type { Durability } from '../../../../src/core/durability.js';
import { Unavailable } from '../../../../src/errors.js';
import { HANDSHAKE_TIMEOUT_MS, SEGMENT_BLOCKS } from '../../../../src/limits.js';
import { Ring } from '../../../../src/ring/ring.js';
import {
  Creditors,
  REPLICATION_PAUSE_LIMIT_MS,
  REPLICATION_PAUSE_MS,
} from '../../../../workers/replication/creditors.js';
import { REPAIR_SHARE, RepairShare } from '../../../../workers/replication/repair-share.js';
import { REPLICATION_CHECK_MS, REPLICATION_SETTLE_MS, Replicator } from '../../../../workers/replication/replicator.js';
import { deferred } from '../../actors/world.js';
import { until } from '../../peer/support/until.js';
import { Cache, chain, sealedOf } from '../support/cache.js';
import { type Neighbour, Town } from '../support/town.js';

/** Shortens no pause. */
const FULL_PAUSES = { next: () => 0, below: () => 0, bytes: (count: number) => new Uint8Array(count) };

describe('a replicator', () => {
  let town: Town;
  let own: Neighbour;
  let moved: number;
  const lags: number[] = [];
  let lacking: number;
  let share: RepairShare;

  beforeEach(async () => {
    town = await Town.open();
    own = await town.add('own', 2 * SEGMENT_BLOCKS);
    moved = 0;
    lags.length = 0;
    lacking = 0;
    share = new RepairShare(town.clock);
  });
  afterEach(async () => expect(await town.close()).toEqual([]));

  function replicator(
    replicas: number,
    of = own,
    debts: number | undefined = undefined,
    durability: Durability = 'strict',
  ): Replicator {
    return new Replicator({
      self: of.id,
      store: of.cache.store,
      peers: of.client,
      roster: of.roster,
      clock: town.clock,
      random: FULL_PAUSES,
      replicas,
      share,
      durability,
      ...(debts === undefined ? {} : { debts }),
      onLag: (waiting, lackingBlocks) => {
        lags.push(waiting);
        lacking = lackingBlocks;
      },
      onMoved: (blocks) => (moved += blocks),
    });
  }
  /** Lets simulated time and real connections go on until nothing is left to copy. */
  async function done(of: Replicator): Promise<void> {
    let idle = false;
    void of.idle().then(() => (idle = true));
    await settled();
    while (!idle) {
      await town.clock.advance(1);
      await settled();
    }
  }
  /** Lets so much simulated time pass, and what is done in it be done. */
  async function pass(ms: number): Promise<void> {
    const endMs = town.clock.now() + ms;
    while (town.clock.now() < endMs) {
      await town.clock.advance(Math.min(20, endMs - town.clock.now()));
      for (let i = 0; i < 3; i++) await settled();
    }
  }
  /** Until a copy has failed, and is to be tried again. */
  function untilRetry(): Promise<void> {
    return until(() => town.clock.isDueAt(town.clock.now() + REPLICATION_PAUSE_MS));
  }
  function holders(blocks: readonly BlockMeta[]): string[] {
    return town.neighbours.filter(({ cache }) => cache.run(blocks) === blocks.length).map(({ id }) => id);
  }
  /** A prompt whose first segment has these homes. */
  function promptAt(homes: readonly string[], blocks = SEGMENT_BLOCKS): BlockMeta[] {
    return promptWhere((segment) => own.roster.ring.homes(segment, homes.length).join() === homes.join(), blocks);
  }
  function promptWhere(fits: (segment: string) => boolean, blocks = SEGMENT_BLOCKS): BlockMeta[] {
    for (let i = 0; ; i++) {
      const prompt = chain(`prompt ${i}`, blocks);
      if (fits(prompt[0]!.segment)) return prompt;
    }
  }
  /** The homes that a segment has where these are all the workers. */
  function homesAmong(ids: readonly string[], segment: string): string {
    return new Ring(ids.map((id) => ({ id, incarnation: '0001', weight: 1 }))).homes(segment, 2).join();
  }

  it('copies blocks computed here to their homes only', async () => {
    await town.add('a');
    await town.add('b');
    const copies = replicator(2);
    const [mine, others] = [promptAt(['own', 'a']), promptAt(['b', 'a'])];
    own.cache.fill(mine);
    own.cache.fill(others);
    expect(copies.lagBlocks).toBe(2 * SEGMENT_BLOCKS);
    await done(copies);
    expect(holders(mine)).toEqual(['own', 'a']);
    expect(holders(others)).toEqual(['own', 'a', 'b']);
    expect(copies.lagBlocks).toBe(0);
    expect(lags.at(-1)).toBe(0);
    expect(Math.max(...lags)).toBeGreaterThan(0);
    expect(moved).toBe(0);
  });

  it('copies a segment that a device gives two blocks of at a time', async () => {
    await town.add('a');
    const far = await town.addOver('far', new Cache(2 * SEGMENT_BLOCKS, { device: 'remote', stagingBlocks: 2 }));
    const copies = replicator(2, far);
    const mine = promptAt(['far', 'a']);
    far.cache.compute(mine);
    await far.cache.store.idle();
    await done(copies);
    expect(holders(mine).sort()).toEqual(['a', 'far']);
    copies.stop();
  });

  it('does not copy blocks that came from peers', async () => {
    await town.add('a');
    const copies = replicator(2);
    own.cache.fill(chain('fetched', 2), 'fetched');
    own.cache.fill(chain('pushed', 2), 'pushed');
    await done(copies);
    expect(town.neighbours[1]!.door.offered).toEqual([]);
  });

  it('gives blocks to the workers that become their homes', async () => {
    const copies = replicator(2);
    await town.add('later', 64, false);
    const blocks = chain('prompt', SEGMENT_BLOCKS);
    own.cache.fill(blocks);
    await done(copies);
    town.tell();
    await done(copies);
    expect(holders(blocks)).toEqual(['own', 'later']);
    expect(moved).toBe(SEGMENT_BLOCKS);
  });

  it('gives blocks to a restarted home again, though no member noticed the restart', async () => {
    await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', SEGMENT_BLOCKS);
    own.cache.fill(blocks);
    await done(copies);
    await town.restart('a');
    town.tell();
    await done(copies);
    expect(holders(blocks)).toEqual(['own', 'a']);
    expect(moved).toBe(SEGMENT_BLOCKS);
  });

  it('hands all blocks over when its worker leaves the ring, and is not idle before', async () => {
    await town.add('a');
    const copies = replicator(1);
    const blocks = promptAt(['own']);
    own.cache.fill(blocks);
    await done(copies);
    expect(holders(blocks)).toEqual(['own']);
    own.roster.hear({ ...own.says, state: 'draining' });
    let idle = false;
    void copies.idle().then(() => (idle = true));
    await settled();
    expect(idle).toBe(false);
    await done(copies);
    expect(idle).toBe(true);
    expect(holders(blocks)).toEqual(['own', 'a']);
  });

  it('tries again where a home could not be reached', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    await home.shut();
    const blocks = chain('prompt', 3);
    own.cache.fill(blocks);
    await untilRetry();
    await home.reopen();
    await done(copies);
    expect(holders(blocks)).toEqual(['own', 'a']);
  });

  it('does not delay other homes for one that does not answer, and reports the blocks that wait for it', async () => {
    const [silent, home] = [await town.add('silent'), await town.add('a')];
    await silent.shut();
    await rm(town.path('silent'), { force: true });
    const sockets: Socket[] = [];
    const listener = createServer((socket) => sockets.push(socket)).listen(town.path('silent'));
    const copies = replicator(2);
    const [first, second] = [promptAt(['own', 'silent'], 2), promptAt(['own', 'a'])];
    const startedMs = town.clock.now();
    own.cache.fill(first);
    own.cache.fill(second);
    await until(() => home.cache.run(second) === second.length);
    expect(town.clock.now()).toBe(startedMs);
    await town.clock.advance(HANDSHAKE_TIMEOUT_MS);
    await untilRetry();
    expect([copies.lagBlocks, lags.at(-1), lacking]).toEqual([2, 2, 2]);
    copies.stop();
    for (const socket of sockets) socket.destroy();
    listener.close();
  });

  /** Computes blocks while a home cannot be reached, heals it, and gives the prompts that the home still lacks after a while. */
  async function unpaidAfter(unreachableMs: number, copies: Replicator): Promise<BlockMeta[][]> {
    const home = town.neighbours.find(({ id }) => id === 'a')!;
    await home.shut();
    const prompts = Array.from({ length: 2 * SEGMENT_BLOCKS }, (_, i) => chain(`prompt ${i}`, 1));
    for (const blocks of prompts) {
      own.cache.fill(blocks);
      await pass(unreachableMs / (4 * SEGMENT_BLOCKS));
    }
    await pass(unreachableMs / 2);
    counted = [copies.lagBlocks, lacking];
    await home.reopen();
    await pass(REPLICATION_PAUSE_LIMIT_MS + 1_000);
    return prompts.filter((blocks) => holders(blocks).join() !== 'own,a');
  }
  let counted: number[];

  it.each([26_000, 115_000])(
    'owes a home its blocks for %d ms in which it cannot be reached, and pays soon after',
    async (ms) => {
      await town.add('a');
      const copies = replicator(2);
      expect(await unpaidAfter(ms, copies)).toEqual([]);
      expect(counted).toEqual([2 * SEGMENT_BLOCKS, 2 * SEGMENT_BLOCKS]);
      expect([copies.lagBlocks, lacking]).toEqual([0, 0]);
    },
  );

  it.each([26_000, 115_000])('would be found out if it gave up after four tries (%d ms)', async (ms) => {
    await town.add('a');
    const copies = replicator(2);
    let tries = 0;
    const failed = Creditors.prototype.failed;
    const mutant = vi.spyOn(Creditors.prototype, 'failed').mockImplementation(function (this: Creditors, to) {
      failed.call(this, to);
      // biome-ignore lint/complexity/useLiteralKeys: the debts are private
      if (++tries >= 4) copies['debts'].keep((debt) => debt.to !== to);
    });
    try {
      expect((await unpaidAfter(ms, copies)).length).toBeGreaterThan(0);
    } finally {
      mutant.mockRestore();
    }
  });

  it('tries a home that cannot be reached after pauses that double up to a limit', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    const reach = vi.spyOn(own.client, 'reach');
    const triedMs: number[] = [];
    reach.mockImplementation(async () => {
      triedMs.push(town.clock.now());
      throw new Unavailable('nobody is there');
    });
    own.cache.fill(chain('prompt', 1));
    await pass(56_000);
    const pauses = triedMs.slice(1).map((ms, i) => Math.round((ms - triedMs[i]!) / REPLICATION_PAUSE_MS));
    const limit = REPLICATION_PAUSE_LIMIT_MS / REPLICATION_PAUSE_MS;
    expect(pauses).toEqual([1, 2, 4, 8, 16, limit, limit, limit, limit]);
    copies.stop();
  });

  it('drops the debt of an evicted block', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    own.cache.fill(chain('prompt', 3));
    await untilRetry();
    expect([copies.lagBlocks, lacking]).toEqual([3, 3]);
    own.cache.store.reset();
    await pass(REPLICATION_PAUSE_MS + 100);
    expect([copies.lagBlocks, lacking]).toEqual([0, 0]);
    copies.stop();
  });

  it('pays first for the blocks with the fewest copies', async () => {
    const [gone, home] = [await town.add('gone'), await town.add('a')];
    await Promise.all([gone.shut(), home.shut()]);
    const copies = replicator(2);
    // One home of the first prompt, two of the second: this worker has the only copy of either, and owes more for the second.
    const kept = promptWhere((segment) => own.roster.ring.homes(segment, 2).sort().join() === 'a,own', 2);
    const guest = promptWhere((segment) => own.roster.ring.homes(segment, 2).sort().join() === 'a,gone', 2);
    own.cache.fill(guest);
    own.cache.fill(kept);
    await untilRetry();
    await gone.reopen();
    await pass(5_000);
    expect(holders(guest)).toEqual(['own', 'gone']);
    expect([copies.lagBlocks, lacking]).toEqual([4, 4]);
    await home.reopen();
    await done(copies);
    expect(home.door.offered).toEqual([...kept, ...guest].map(({ key }) => key));
    expect(lacking).toBe(0);
  });

  it('continues with the blocks after one that cannot be pinned', async () => {
    await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 4);
    const { store } = own.cache;
    const pin = store.pin.bind(store);
    store.pin = async (key) => {
      if (key === blocks[1]!.key) throw new Unavailable('the disk does not answer');
      return pin(key);
    };
    own.cache.fill(blocks);
    await done(copies);
    expect([0, 2, 3].map((i) => holders([blocks[i]!]))).toEqual(Array(3).fill(['own', 'a']));
    expect([copies.lagBlocks, lacking]).toEqual([0, 1]);
    copies.stop();
  });

  it('takes a share of the transfer rate for blocks that move, while requests run, and none from new blocks', async () => {
    const large = await town.add('large', 256);
    const copies = replicator(2, large);
    let running = true;
    share.watch(() => running);
    large.cache.fill(Array.from({ length: 128 }, (_, i) => chain(`old ${i}`, 1)).flat(), 'pushed');
    const tookMs = 100;
    const push = large.client.push.bind(large.client);
    const begunMs: number[] = [];
    large.client.push = async (...args) => {
      begunMs.push(town.clock.now());
      const taken = await push(...args);
      await new Promise<void>((resolve) => town.clock.after(tookMs, resolve));
      return taken;
    };
    const home = await town.add('a', 256);
    await pass(tookMs + 60);
    expect([begunMs.length, copies.lagBlocks > 0]).toEqual([1, true]);
    const fresh = promptWhere((segment) => own.roster.ring.homes(segment, 2).sort().join() === 'a,large', 1);
    large.cache.fill(fresh);
    await pass(40);
    expect([begunMs.length, home.cache.run(fresh)]).toEqual([2, 1]);
    await pass(tookMs / REPAIR_SHARE - 20);
    expect(begunMs.length).toBe(3);
    expect(begunMs[2]! - begunMs[0]!).toBeGreaterThanOrEqual(tookMs / REPAIR_SHARE);
    running = false;
    await done(copies);
    expect([copies.lagBlocks, lacking]).toEqual([0, 0]);
    copies.stop();
  });

  it('offers a block again that a home had no memory for at the moment', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 3);
    const reserved = home.cache.store.reserveBytes(sealedOf(blocks[1]!), 'fetched');
    own.cache.fill(blocks);
    await untilRetry();
    expect([copies.lagBlocks, lacking]).toEqual([1, 1]);
    if (typeof reserved !== 'string') reserved.abort();
    await done(copies);
    expect(holders(blocks)).toEqual(['own', 'a']);
    expect(lacking).toBe(0);
  });

  it('counts a block as missing that a home refused at every attempt, until the ring changes', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 3);
    const reserved = home.cache.store.reserveBytes(sealedOf(blocks[1]!), 'fetched');
    own.cache.fill(blocks);
    await done(copies);
    expect([copies.lagBlocks, lacking]).toEqual([0, 1]);
    if (typeof reserved !== 'string') reserved.abort();
    town.bury('a');
    expect(lacking).toBe(0);
    copies.stop();
  });

  it('evicts nothing for copies where the memory of the fleet is one pool, and owes none that has no room', async () => {
    const home = await town.add('a', 4);
    const kept = chain('older', 3);
    home.cache.fill(kept);
    const copies = replicator(2, own, undefined, 'pooled');
    const blocks = chain('prompt', 3);
    own.cache.fill(blocks);
    await done(copies);
    expect([copies.lagBlocks, lacking]).toEqual([0, 0]);
    expect([home.cache.run(kept), home.cache.run(blocks)]).toEqual([3, 1]);
    copies.stop();
  });

  it('evicts for the copies of a worker that leaves the ring: they may be the last ones', async () => {
    const home = await town.add('a', 4);
    home.cache.fill(chain('older', 4));
    const copies = replicator(1, own, undefined, 'pooled');
    const mine = promptAt(['own'], 3);
    own.cache.fill(mine);
    await done(copies);
    expect(home.cache.run(mine)).toBe(0);
    own.roster.hear({ ...own.says, state: 'draining' });
    await done(copies);
    expect(home.cache.run(mine)).toBe(3);
    copies.stop();
  });

  it('unpins all blocks of a push when one cannot be pinned, and tries again', async () => {
    await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 3);
    const { store } = own.cache;
    const pin = store.pin.bind(store);
    let failed = false;
    store.pin = async (key) => {
      if (key !== blocks[1]!.key || failed) return pin(key);
      failed = true;
      throw new Unavailable('the device does not answer');
    };
    own.cache.fill(blocks);
    await untilRetry();
    await store.quiet();
    await done(copies);
    expect(holders(blocks)).toEqual(['own', 'a']);
  });

  it('checks later that a new home got the blocks that another worker owed it', async () => {
    await town.add('a');
    const later = await town.add('later', 64, false);
    const moving = (segment: string) =>
      homesAmong(['own', 'a'], segment) === 'a,own' && homesAmong(['own', 'a', 'later'], segment) === 'a,later';
    const given = promptWhere(moving);
    const copies = replicator(2);
    own.cache.fill(given);
    await done(copies);
    town.tell();
    later.cache.fill(given.slice(0, 1), 'pushed');
    const pinned: string[] = [];
    const { store } = own.cache;
    const pin = store.pin.bind(store);
    store.pin = (key) => {
      pinned.push(key);
      return pin(key);
    };
    await copies.idle();
    expect(later.door.offered).toEqual([]);
    expect(copies.lagBlocks).toBe(0);
    await pass(REPLICATION_CHECK_MS + 100);
    expect(holders(given)).toEqual(['own', 'a', 'later']);
    expect(pinned).toEqual(given.slice(1).map(({ key }) => key));
    expect(moved).toBe(0);
  });

  it('restores a block at all its homes, even if the worker that owed it died first', async () => {
    const ids = ['own', 'b', 'c'];
    await town.add('b');
    const c = await town.add('c', 64, false);
    const copies = town.neighbours.map((neighbour) => replicator(2, neighbour));
    const blocks = promptWhere((segment) => homesAmong(ids, segment) === 'c,own');
    own.cache.fill(blocks);
    await done(copies[0]!);
    expect(holders(blocks)).toEqual(['own', 'b']);
    await c.shut();
    town.tell();
    await town.clock.advance(0);
    await untilRetry();
    copies[0]!.stop();
    await own.shut();
    town.bury('own');
    await c.reopen();
    await pass(REPLICATION_CHECK_MS + 1_000);
    expect(holders(blocks)).toEqual(['own', 'b', 'c']);
    for (const one of copies) one.stop();
  });

  it('copies new blocks to the homes that they have when it comes to that', async () => {
    const gone = await town.add('gone');
    for (const id of ['a', 'b', 'c']) await town.add(id);
    const copies = replicator(2);
    await gone.shut();
    const waiting = promptAt(['gone', 'b'], 2);
    own.cache.fill(waiting);
    await untilRetry();
    town.bury('gone');
    await done(copies);
    expect(gone.door.offered).toEqual([]);
    const homes = own.roster.ring.homes(waiting[0]!.segment, 2);
    expect(homes).toContain('b');
    expect(holders(waiting)).toEqual(expect.arrayContaining(homes));
  });

  it('assigns duties by the new ring', async () => {
    await town.add('later', 64, false);
    const copies = replicator(1);
    const [sealed] = own.cache.fill(chain('prompt', 1), 'fetched');
    expect(own.cache.roles.get(sealed!.key)).toBe('guest');
    own.cache.role = 'home';
    town.tell();
    expect(own.cache.roles.get(sealed!.key)).toBe('home');
    await done(copies);
  });

  it('drops the moves of an earlier ring when the ring changes again', async () => {
    const copies = replicator(1);
    own.cache.fill(Array.from({ length: 12 }, (_, i) => chain(`prompt ${i}`, 1)).flat());
    await done(copies);
    const later = await town.add('later', 64, false);
    for (let i = 1; i < 5; i++) {
      own.roster.hear({ ...later.says, incarnation: `000${2 * i}` });
      expect(copies.lagBlocks).toBeGreaterThan(0);
      expect(copies.lagBlocks).toBeLessThanOrEqual(12);
      own.roster.hear({ ...later.says, incarnation: `000${2 * i + 1}`, state: 'draining' });
      expect(copies.lagBlocks).toBe(0);
    }
    await done(copies);
    expect(later.door.offered).toEqual([]);
  });

  it('drops all debts when told to forget', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 4);
    const reached = deferred();
    const admit = home.door.admit.bind(home.door);
    home.door.admit = (...offered) => {
      reached.resolve();
      return admit(...offered);
    };
    own.cache.fill(blocks.slice(0, 2));
    await reached.promise;
    own.cache.fill(chain('waiting', 4));
    copies.forget();
    expect(copies.lagBlocks).toBe(0);
    await done(copies);
    await Promise.all([own.cache.store.quiet(), home.cache.store.quiet()]);
    expect(home.cache.store.blocks).toBe(0);
  });

  it('wakes its waiters when the attempts that are left are forgotten', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    own.cache.fill(chain('prompt', 1));
    await untilRetry();
    const idle = copies.idle();
    copies.forget();
    await idle;
    expect(town.clock.isDueAt(town.clock.now() + REPLICATION_PAUSE_MS)).toBe(false);
  });

  it('does nothing once it is stopped', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    copies.stop();
    own.cache.fill(chain('prompt', 2));
    await settled();
    await settled();
    expect(home.door.offered).toEqual([]);
  });

  it('counts the debts that it drops for lack of memory as blocks that lack a copy', async () => {
    const home = await town.add('a');
    await home.shut();
    const [debts, count] = [1_000, 10_000];
    const large = await town.add('large', count);
    const copies = replicator(3, large, debts);
    await own.shut();
    large.cache.fill(Array.from({ length: count }, (_, i) => chain(`prompt ${i}`, 1)).flat());
    await pass(1);
    while (copies.lagBlocks > debts) await settled();
    await pass(REPLICATION_PAUSE_MS);
    expect(copies.lagBlocks).toBe(debts);
    // Two homes lack each block.
    expect(lacking).toBeGreaterThanOrEqual(count);
    expect(lacking).toBeLessThanOrEqual(2 * count);
    copies.stop();
    expect(copies.lagBlocks).toBe(0);
  });

  it('finds the debts again that it dropped for lack of memory, when the home can be reached', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2, own, SEGMENT_BLOCKS);
    const blocks = [...chain('first', SEGMENT_BLOCKS), ...chain('second', SEGMENT_BLOCKS)];
    own.cache.fill(blocks);
    await untilRetry();
    expect([copies.lagBlocks, lacking]).toEqual([SEGMENT_BLOCKS, 2 * SEGMENT_BLOCKS]);
    await home.reopen();
    await done(copies);
    await pass(100);
    expect([home.cache.run(blocks), copies.lagBlocks, lacking]).toEqual([2 * SEGMENT_BLOCKS, 0, 0]);
  });

  it('sends no block that an old home has evicted when an unrelated worker dies', async () => {
    const small = await town.add('small', SEGMENT_BLOCKS);
    await town.add('z');
    const copies = replicator(2);
    // Two segments at home on these two, with and without z.
    const fits = (segment: string) =>
      [own.roster.ring.homes(segment, 2).join(), homesAmong(['own', 'small'], segment)].every((homes) =>
        ['own,small', 'small,own'].includes(homes),
      );
    const first = promptWhere(fits);
    const second = promptWhere((segment) => fits(segment) && segment !== first[0]!.segment);
    for (const prompt of [first, second]) {
      own.cache.fill(prompt);
      await done(copies);
    }
    expect([small.cache.run(first), small.cache.run(second)]).toEqual([0, SEGMENT_BLOCKS]);
    await pass(REPLICATION_SETTLE_MS);
    const pin = vi.spyOn(own.cache.store, 'pin');
    await town.neighbours.at(-1)!.shut();
    town.bury('z');
    await pass(REPLICATION_CHECK_MS + 1_000);
    copies.stop();
    expect(pin).not.toHaveBeenCalled();
    expect([small.cache.run(first), small.cache.run(second)]).toEqual([0, SEGMENT_BLOCKS]);
  });
});
