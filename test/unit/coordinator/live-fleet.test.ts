import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LoadWatch } from '../../../coordinator/advice/load-watch.js';
import { BlockTiers } from '../../../coordinator/block-tiers.js';
import { LiveFleet } from '../../../coordinator/live-fleet.js';
import { QuarantinedWorkers } from '../../../coordinator/quarantined-workers.js';
import { Siblings } from '../../../coordinator/siblings.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { InvalidRequest, Unavailable } from '../../../src/errors.js';
import { BLOCK_TOKENS } from '../../../src/limits.js';
import { SILENT_LOG } from '../../../src/log.js';
import { PacedLog } from '../../../src/paced-log.js';
import { Hive } from './support/hive.js';

describe('a live fleet', () => {
  let hive: Hive;
  let fleet: LiveFleet;
  let clock: SimulatedClock;
  let storeFault: string | null;

  beforeEach(() => {
    hive = new Hive();
    clock = new SimulatedClock();
    const { bus, actors, roster, holdings, router, subjects } = hive;
    const siblings = new Siblings(bus, clock, subjects, { id: 'coordinator', pid: 1, host: 'h' });
    const tiers = new BlockTiers(roster, actors, SILENT_LOG);
    const self = { id: 'coordinator', incarnation: '1' };
    const quarantined = new QuarantinedWorkers({
      self,
      bus,
      roster,
      subjects,
      log: new PacedLog(SILENT_LOG, clock),
      onQuarantined: () => {},
    });
    storeFault = null;
    const load = new LoadWatch({ clock, members: () => roster.members(), holdings, replicas: 2 });
    fleet = new LiveFleet({
      ...{ load, quarantined, bus, clock, actors, roster, holdings, router, siblings, tiers, replicas: 2 },
      storeFault: () => storeFault,
    });
  });
  afterEach(() => hive.close());

  it('lists workers and coordinators', async () => {
    await hive.add('b');
    await hive.add('a');
    const view = fleet.view();
    expect(view.workers.map(({ id, state }) => `${id} ${state}`)).toEqual(['a serving', 'b serving']);
    expect(view.coordinators.map(({ id }) => id)).toEqual(['coordinator']);
    expect(view.replicas).toBe(2);
    expect(view.epoch).toBe(hive.roster.epoch);
    expect(view.ring).toEqual(['a', 'b']);
  });

  it('explains where the blocks of a prompt are, and why others are missing', async () => {
    const a = await hive.add('a');
    const tokens = new Uint32Array(4 * BLOCK_TOKENS + 3);
    const keys = hive.router.blocksOf(tokens, null).map(({ key }) => key);
    a.take([keys[0]!, keys[1]!, keys[3]!]);
    await hive.pass(1);
    const explaining = fleet.explain(tokens, null);
    await hive.pass(10);
    const { blocks, wouldRunOn } = await explaining;
    expect(blocks.map(({ state }) => state)).toEqual(['hit', 'hit', 'miss', 'miss']);
    expect(blocks.map(({ holders }) => holders)).toEqual([['a'], ['a'], [], ['a']]);
    expect(blocks.map(({ homes }) => homes)).toEqual(blocks.map(() => ['a']));
    expect(blocks[2]!.reason).toContain('no worker holds it');
    expect(blocks[3]!.reason).toContain('an earlier block is missing');
    expect(wouldRunOn).toBe('a');
    expect((await fleet.explain(tokens, 'a tenant')).blocks[0]!.state).toBe('miss');
    expect((await fleet.explain(new Uint32Array(3), null)).blocks).toEqual([]);
  });

  it('reports the tier of a block for each holder that answers', async () => {
    const [a, b, c] = [await hive.add('a'), await hive.add('b'), await hive.add('c')];
    const tokens = new Uint32Array(2 * BLOCK_TOKENS);
    const [first, second] = hive.router.blocksOf(tokens, null).map(({ key }) => key);
    for (const worker of [a, b, c]) worker.take([first!, second!]);
    await hive.pass(1);
    a.tierOf = (key) => (key === first ? 'device' : 'disk');
    b.tierOf = (key) => (key === first ? null : 'host');
    c.tierOf = () => {
      throw new Unavailable('not now');
    };
    const explaining = fleet.explain(tokens, null);
    await hive.pass(10);
    const { blocks } = await explaining;
    expect(blocks.map(({ holders }) => holders)).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    expect(blocks.map(({ tiers }) => tiers)).toEqual([{ a: 'device' }, { a: 'disk', b: 'host' }]);
  });

  it('drains the live incarnation of a worker', async () => {
    const a = await hive.add('a');
    await hive.add('b');
    const draining = fleet.drain('a');
    await hive.pass(10);
    await draining;
    expect(a.orders).toEqual(['drain']);
    await expect(fleet.drain('c')).rejects.toBeInstanceOf(InvalidRequest);
    expect(hive.workers[1]!.orders).toEqual([]);
  });

  it('takes a drain back', async () => {
    const a = await hive.add('a', { state: 'draining' });
    const undraining = fleet.undrain('a');
    await hive.pass(10);
    await undraining;
    expect(a.orders).toEqual(['undrain']);
    await expect(fleet.undrain('c')).rejects.toBeInstanceOf(InvalidRequest);
  });

  it('resets all workers, twice', async () => {
    const [a, b] = [await hive.add('a'), await hive.add('b')];
    const reset = fleet.resetCache();
    await hive.pass(10);
    await reset;
    expect([a.orders, b.orders]).toEqual([
      ['reset', 'reset'],
      ['reset', 'reset'],
    ]);
  });

  it('rejects a reset that a worker did not confirm', async () => {
    const [a] = [await hive.add('a'), await hive.add('b')];
    a.onReset = () => {
      throw new Unavailable('not now');
    };
    const reset = fleet.resetCache();
    reset.catch(() => {});
    await hive.pass(10);
    await expect(reset).rejects.toThrow('1 of 2 workers');
  });

  it('needs a worker that can be reached, and a bus only where no worker is linked directly', async () => {
    expect((await fleet.health()).map(({ name, ok }) => [name, ok])).toEqual([
      ['nats', true],
      ['workers', false],
    ]);
    const a = await hive.add('a');
    expect((await fleet.health()).every(({ ok }) => ok)).toBe(true);
    hive.bus.lose();
    expect((await fleet.health()).map(({ ok, required }) => [ok, required])).toEqual([
      [false, true],
      [false, true],
    ]);
    hive.link(a);
    expect((await fleet.health()).map(({ ok, required }) => [ok, required])).toEqual([
      [false, false],
      [true, true],
    ]);
  });

  it('names a store that does not work, and is healthy without it', async () => {
    await hive.add('a');
    const store = async () => (await fleet.health()).find(({ name }) => name === 'store');
    expect(await store()).toBeUndefined();
    storeFault = 'its disk is full';
    expect(await store()).toMatchObject({ ok: false, required: false });
    expect((await store())!.detail).toContain('its disk is full');
  });

  it('names the workers whose disk does not answer, and is healthy without them', async () => {
    await hive.add('a', { disk: 'answers' });
    await hive.add('b');
    const disks = async () => (await fleet.health()).find(({ name }) => name === 'disks');
    expect(await disks()).toMatchObject({ ok: true, required: false });
    hive.workers[0]!.announce({ disk: 'away' });
    await clock.advance(1);
    expect(await disks()).toMatchObject({ ok: false, required: false });
    expect((await disks())!.detail).toContain('the disk of a;');
  });

  it('does not wait long for a bus that is slow or hung, takes it for connected until it is lost, and leaves no timer', async () => {
    await hive.add('a');
    await fleet.health();
    await settled();
    expect(clock.nextAtMs()).toBeNull();
    hive.bus.flush = () => new Promise(() => {});
    const checked = fleet.health();
    await clock.advance(1_500);
    const [nats, workers] = await checked;
    expect(nats).toMatchObject({ ok: false, required: false, detail: expect.stringContaining('has not answered') });
    expect(workers!.ok).toBe(true);
  });
});
