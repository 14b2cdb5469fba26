import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { settled } from '../../../../src/clock.js';
import type { BlockMeta } from '../../../../src/core/block.js';
import { Unavailable } from '../../../../src/errors.js';
import { HANDSHAKE_TIMEOUT_MS, SEGMENT_BLOCKS } from '../../../../src/limits.js';
import { Ring } from '../../../../src/ring/ring.js';
import {
  REPLICATION_ATTEMPTS,
  REPLICATION_CHECK_MS,
  REPLICATION_PAUSE_MS,
  REPLICATION_QUEUE_BLOCKS,
  REPLICATION_SETTLE_MS,
  Replicator,
} from '../../../../workers/replication/replicator.js';
import { deferred } from '../../actors/world.js';
import { until } from '../../peer/support/until.js';
import { Cache, chain, sealedOf } from '../support/cache.js';
import { type Neighbour, Town } from '../support/town.js';

describe('a replicator', () => {
  let town: Town;
  let own: Neighbour;
  let moved: number;
  const lags: number[] = [];
  let lacking: number;

  beforeEach(async () => {
    town = await Town.open();
    own = await town.add('own', 2 * SEGMENT_BLOCKS);
    moved = 0;
    lags.length = 0;
    lacking = 0;
  });
  afterEach(async () => expect(await town.close()).toEqual([]));

  function replicator(replicas: number, of = own): Replicator {
    return new Replicator({
      self: of.id,
      store: of.cache.store,
      peers: of.client,
      roster: of.roster,
      clock: town.clock,
      replicas,
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
    return until(() => town.clock.nextAtMs() === town.clock.now() + REPLICATION_PAUSE_MS);
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

  it('copies what was computed here to its homes, and to nobody else', async () => {
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

  it('copies nothing that came from others', async () => {
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

  it('gives blocks anew to a home that was started anew, though it was missed by nobody', async () => {
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

  it('hands everything on when its own worker leaves the ring, and is not idle before', async () => {
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

  it('keeps nothing from other homes for one that does not answer, and tells what waits for that one', async () => {
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

  it('gives up for a home that cannot be reached no more than what it tried to send there', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    const [first, second] = [chain('first', 1), chain('second', 1)];
    own.cache.fill([...first, ...second]);
    const pauses = (REPLICATION_PAUSE_MS * (REPLICATION_ATTEMPTS * (REPLICATION_ATTEMPTS - 1))) / 2;
    await pass(pauses + 100);
    expect([copies.lagBlocks, lacking]).toEqual([1, 2]);
    await home.reopen();
    await done(copies);
    expect([holders(first), holders(second)]).toEqual([['own'], ['own', 'a']]);
    expect(lacking).toBe(1);
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

  it('counts as lacking what a home did not take in any try, until the ring changes', async () => {
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

  it('makes sure later that a new home was given what another is to give it', async () => {
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

  it('has a block at all its homes again though who was to give it to one died before that', async () => {
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

  it('gives up after some tries, and has nothing left to do', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    own.cache.fill(chain('prompt', 3));
    const startedMs = town.clock.now();
    await done(copies);
    expect(copies.lagBlocks).toBe(0);
    const pauses = (REPLICATION_PAUSE_MS * (REPLICATION_ATTEMPTS * (REPLICATION_ATTEMPTS - 1))) / 2;
    expect(town.clock.now() - startedMs).toBeGreaterThanOrEqual(pauses);
    expect(own.cache.store.reset()).toBe(3);
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

  it('has the store keep as a duty what the new ring says', async () => {
    await town.add('later', 64, false);
    const copies = replicator(1);
    const [sealed] = own.cache.fill(chain('prompt', 1), 'fetched');
    expect(own.cache.roles.get(sealed!.key)).toBe('guest');
    own.cache.role = 'home';
    town.tell();
    expect(own.cache.roles.get(sealed!.key)).toBe('home');
    await done(copies);
  });

  it('drops what an earlier ring had moved, when the ring changes again', async () => {
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

  it('lets go of everything when it is told to forget', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    const blocks = chain('prompt', 4);
    const reached = deferred();
    const admit = home.door.admit.bind(home.door);
    home.door.admit = (block) => {
      reached.resolve();
      return admit(block);
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

  it('tells those who wait for it when what it would try again is forgotten', async () => {
    const home = await town.add('a');
    await home.shut();
    const copies = replicator(2);
    own.cache.fill(chain('prompt', 1));
    await untilRetry();
    const idle = copies.idle();
    copies.forget();
    await idle;
    expect(town.clock.nextAtMs()).toBeNull();
  });

  it('does nothing any more once it is stopped', async () => {
    const home = await town.add('a');
    const copies = replicator(2);
    copies.stop();
    own.cache.fill(chain('prompt', 2));
    await settled();
    await settled();
    expect(home.door.offered).toEqual([]);
  });

  it('keeps the newest of what waits, where that is too much', async () => {
    const blocks = Array.from({ length: REPLICATION_QUEUE_BLOCKS + 3 }, (_, i) => chain(`prompt ${i}`, 1)[0]!);
    const large = await town.add('large', blocks.length);
    const copies = replicator(2, large);
    large.cache.fill(blocks);
    expect(copies.lagBlocks).toBe(REPLICATION_QUEUE_BLOCKS);
    copies.stop();
  });

  it('counts among what waits what is to be tried again, and drops that first', async () => {
    const home = await town.add('a');
    await home.shut();
    const large = await town.add('large', REPLICATION_QUEUE_BLOCKS + 10);
    const copies = replicator(3, large);
    const [first, ...more] = Array.from({ length: REPLICATION_QUEUE_BLOCKS / SEGMENT_BLOCKS + 1 }, (_, i) =>
      chain(`prompt ${i}`, SEGMENT_BLOCKS),
    );
    large.cache.fill(first!);
    await untilRetry();
    expect(copies.lagBlocks).toBe(SEGMENT_BLOCKS);
    for (const blocks of more) large.cache.fill(blocks);
    expect(copies.lagBlocks).toBe(REPLICATION_QUEUE_BLOCKS);
    copies.stop();
  });

  it('sends nothing to a home of long standing that made room for something else when a stranger dies', async () => {
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
