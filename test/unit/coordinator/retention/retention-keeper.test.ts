import { afterEach, describe, expect, it } from 'vitest';
import { Layers } from '../../../../coordinator/layers/layers.js';
import { LEASE_MS, Lease } from '../../../../coordinator/retention/lease.js';
import { RETENTION_ROUND_MS, RetentionKeeper } from '../../../../coordinator/retention/retention-keeper.js';
import { RetentionStore } from '../../../../coordinator/retention/retention-store.js';
import { LiveRetentions, type RetentionView } from '../../../../coordinator/retention/retentions.js';
import { StoreTime } from '../../../../coordinator/retention/store-time.js';
import type { KeyValue } from '../../../../src/bus/key-value.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import type { Tenant } from '../../../../src/core/fair-shares.js';
import { packKeys } from '../../../../src/core/key.js';
import type { Announcement } from '../../../../src/core/member.js';
import type { Salt } from '../../../../src/core/salt.js';
import { InvalidRequest, PoisonousPrompt, Unavailable } from '../../../../src/errors.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { SeededRandom } from '../../../../src/random.js';
import { WorkerRetention } from '../../../../workers/retention.js';
import { Hive, type ScriptedWorker } from '../support/hive.js';

const TOKENS = Uint32Array.from({ length: 700 }, (_, i) => i);
const ME = { name: 'me', weight: 3 };
const ORDER = { tokens: TOKENS, salt: null, layer: null, owner: 'me', tenant: ME, ttlMs: 3_600_000 };

/** What a worker has and retains, with the orders that it got, by fencing number. */
interface Memory {
  readonly has: Set<string>;
  retained: ReadonlySet<string>;
  readonly fences: number[];
}

/** A coordinator with its part of the retentions. */
class Desk {
  readonly hive: Hive;
  readonly store: RetentionStore;
  readonly keeper: RetentionKeeper;
  readonly retentions: LiveRetentions;
  readonly layers = new Layers({ kind: 'prefix' });
  readonly computed: string[] = [];
  /** Ends a computation on a worker, which by default has the blocks then. */
  readonly computedFor: (Tenant | null)[] = [];
  recompute: (worker: string) => Promise<void> = async () => {};

  constructor(world: World, id: string) {
    this.hive = new Hive(world.shared, id);
    const { clock, roster, actors, router, holdings } = this.hive;
    const kv = new StoreTime(world.gate(id), this.hive.clock);
    this.store = new RetentionStore(kv, new SeededRandom(world.desks.length));
    const blocksOf = (tokens: Uint32Array, salt: Salt | null) => router.blocksOf(tokens, salt);
    const shared = { time: kv, roster, store: this.store, replicas: 2, blocksOf };
    this.keeper = new RetentionKeeper({
      ...shared,
      clock,
      actors,
      layers: this.layers,
      lease: new Lease({ kv, clock, self: id }),
      log: SILENT_LOG,
      recompute: async (_, worker, { tokens, salt, tenant }) => {
        this.computed.push(worker);
        this.computedFor.push(tenant);
        await this.recompute(worker);
        world.take(
          worker,
          blocksOf(tokens, salt).map(({ key }) => key),
        );
      },
    });
    this.retentions = new LiveRetentions({
      ...shared,
      random: new SeededRandom(world.desks.length),
      holdings,
      keeper: this.keeper,
    });
  }
}

class World {
  readonly kv = new MemoryKeyValue(() => (this.desks[0]?.hive.clock.now() ?? 0) + this.wallAheadMs);
  readonly memories = new Map<string, Memory>();
  readonly desks: Desk[] = [];
  /** Difference between the wall clock and the clock, which begins anywhere. */
  wallAheadMs = 1_700_000_000_000;
  /** Whether workers evict at once whatever they do not have to retain. */
  greedy = false;
  /** Blocks of the prompt that were evicted while a home of theirs had no copy. */
  readonly lost = new Set<string>();
  /** Coordinators that are paused: their calls of the bucket wait. */
  private readonly paused = new Map<string, Promise<void>>();

  get shared(): ConstructorParameters<typeof Hive>[0] {
    const [first] = this.desks;
    return first ? { clock: first.hive.clock, broker: first.hive.broker, hub: first.hive.hub } : {};
  }

  desk(id: string): Desk {
    const desk = new Desk(this, id);
    this.desks.push(desk);
    return desk;
  }

  /** The bucket as one coordinator reaches it. */
  gate(id: string): KeyValue {
    const wait = async () => this.paused.get(id);
    return {
      get: async (key) => {
        const found = await this.kv.get(key);
        // It is paused between two steps of a round.
        if (key === 'list') await wait();
        return found;
      },
      create: async (...args) => this.kv.create(...args),
      update: async (...args) => this.kv.update(...args),
      delete: async (key) => this.kv.delete(key),
    };
  }

  /** Stops a coordinator in its next round, after it has renewed its lease. Returns what lets it go on. */
  pause(id: string): () => void {
    let goOn = () => {};
    this.paused.set(
      id,
      new Promise((resolve) => {
        goOn = resolve;
      }),
    );
    return () => {
      this.paused.delete(id);
      goOn();
    };
  }

  async worker(
    id: string,
    has: readonly string[] = [],
    budgetBlocks = 64,
    over: Partial<Announcement> = {},
  ): Promise<ScriptedWorker> {
    const memory: Memory = { has: new Set(has), retained: new Set(), fences: [] };
    this.memories.set(id, memory);
    const store = {
      retain: (keys: ReadonlySet<string>) => {
        memory.retained = keys;
      },
      tierOf: (key: string) => (memory.has.has(key) ? ('device' as const) : null),
      disk: 'none' as const,
    };
    const retention = new WorkerRetention(store);
    const hive = this.desks[0]!.hive;
    return hive.add(id, { budget: { device: budgetBlocks * 128, host: 0 }, ...over }, [...has], (worker) => {
      worker.onRetain = (fence, keys) => {
        memory.fences.push(fence);
        const answer = retention.obey(fence, keys);
        if (this.greedy) this.evict(memory);
        return answer.type === 'retained' ? { ...answer, missing: packKeys(answer.missing) } : answer;
      };
    });
  }

  private evict({ has, retained }: Memory): void {
    for (const key of has) {
      if (retained.has(key)) continue;
      has.delete(key);
      const { router, roster } = this.desks[0]!.hive;
      const block = router.blocksOf(TOKENS, null).find((each) => each.key === key);
      const homes = block ? roster.ring.homes(block.segment, 2) : [];
      if (homes.some((home) => !this.memories.get(home)!.has.has(key))) this.lost.add(key);
    }
  }

  /** A worker gets blocks. */
  take(id: string, keys: readonly string[]): void {
    const memory = this.memories.get(id)!;
    const fresh = keys.filter((key) => !memory.has.has(key));
    for (const key of fresh) memory.has.add(key);
    this.desks[0]!.hive.workers.find((worker) => worker.id === id)!.take(fresh);
  }

  pass(ms: number): Promise<void> {
    return this.desks[0]!.hive.pass(ms);
  }

  async close(): Promise<void> {
    for (const { keeper } of this.desks) await keeper.stop();
    for (const { hive } of this.desks) await hive.close();
  }
}

describe('the keeper of retentions', () => {
  let world: World;
  afterEach(() => world.close());

  const start = async (...workers: string[]) => {
    world = new World();
    const desk = world.desk('first');
    for (const id of workers) await world.worker(id);
    desk.keeper.start();
    return desk;
  };
  const stateOf = async (desk: Desk) =>
    (await desk.retentions.list('me')).map(({ state, copies }) => `${state} ${copies}`);
  const keysOf = (desk: Desk) => desk.hive.router.blocksOf(TOKENS, null).map(({ key }) => key);
  const homesOf = (desk: Desk) =>
    desk.hive.router.blocksOf(TOKENS, null).map(({ segment }) => desk.hive.roster.ring.homes(segment, 2));

  it('has a prompt computed at its homes until each has all its blocks, and tells every home to retain them', async () => {
    const desk = await start('a', 'b', 'c');
    const added = await desk.retentions.add(ORDER);
    expect(added).toMatchObject({ state: 'pending', copies: 0, tokens: 700, blocks: 10 });
    await world.pass(20_000);
    expect(await stateOf(desk)).toEqual(['held 2']);
    const [keys, homes] = [keysOf(desk), homesOf(desk)];
    for (const id of ['a', 'b', 'c']) {
      const own = keys.filter((_, i) => homes[i]!.includes(id));
      expect([...world.memories.get(id)!.retained].sort()).toEqual(own.sort());
    }
  });

  it('computes a prompt in the share of the tenant that pinned it, also after the keeper was replaced', async () => {
    const desk = await start('a', 'b');
    await desk.retentions.add(ORDER);
    await world.pass(20_000);
    expect(new Set(desk.computedFor)).toEqual(new Set([ME]));
    const next = world.desk('next');
    next.keeper.start();
    await desk.keeper.stop();
    for (const memory of world.memories.values()) memory.has.clear();
    await world.pass(20_000);
    expect(new Set(next.computedFor)).toEqual(new Set([ME]));
  });

  it('does not compute a block that workers copy to each other in time', async () => {
    const desk = await start('a', 'b');
    desk.recompute = async (worker) => world.take(worker === 'a' ? 'b' : 'a', keysOf(desk));
    await desk.retentions.add(ORDER);
    await world.pass(10_000);
    expect([await stateOf(desk), desk.computed.length]).toEqual([['held 2'], 1]);
  });

  it('releases a pin everywhere when it is released or expires', async () => {
    const desk = await start('a', 'b');
    const released = await desk.retentions.add(ORDER);
    await desk.retentions.add({ ...ORDER, tokens: TOKENS.slice(64), ttlMs: 30_000 });
    await world.pass(20_000);
    expect(await stateOf(desk)).toEqual(['held 2', 'held 2']);
    expect(await desk.retentions.remove((released as { id: string }).id, 'other', () => {})).toBe(false);
    expect(await desk.retentions.remove((released as { id: string }).id, 'me', () => {})).toBe(true);
    await world.pass(RETENTION_ROUND_MS);
    const rest = desk.hive.router.blocksOf(TOKENS.slice(64), null).map(({ key }) => key);
    for (const { retained } of world.memories.values()) expect([...retained].sort()).toEqual([...rest].sort());
    await world.pass(12_000);
    for (const { retained } of world.memories.values()) expect(retained.size).toBe(0);
    expect([await stateOf(desk), await desk.store.list()]).toEqual([[], []]);
  });

  it('renews the time of an equal pin instead of adding another', async () => {
    const desk = await start('a', 'b');
    const first = await desk.retentions.add({ ...ORDER, ttlMs: 10_000 });
    await world.pass(8_000);
    // The same full blocks: the tokens after them are not kept.
    const again = await desk.retentions.add({ ...ORDER, tokens: TOKENS.slice(0, 690) });
    expect(again).toMatchObject({ id: (first as { id: string }).id, tokens: 700 });
    await world.pass(8_000);
    expect(await stateOf(desk)).toEqual(['held 2']);
    expect(await desk.retentions.add({ ...ORDER, owner: 'other' })).not.toMatchObject({
      id: (first as { id: string }).id,
    });
  });

  it('refuses a pin if its homes lack memory or no worker is serving', async () => {
    world = new World();
    const desk = world.desk('first');
    await expect(desk.retentions.add(ORDER)).rejects.toThrow(Unavailable);
    await world.worker('a', [], 19);
    await world.worker('b', [], 19);
    expect(await desk.retentions.add(ORDER)).toMatchObject({
      type: 'memory',
      why: expect.stringContaining('at most 9 blocks'),
    });
    expect(await desk.store.list()).toEqual([]);
  });

  it('moves blocks with their homes: an old home retains its copy until the new one has it', async () => {
    const desk = await start('a', 'b');
    await desk.retentions.add(ORDER);
    await world.pass(15_000);
    world.greedy = true;
    for (const id of ['c', 'd', 'e', 'f', 'g', 'h']) await world.worker(id);
    await world.pass(400);
    const [keys, homes] = [keysOf(desk), homesOf(desk)];
    expect(homes.some((each) => !each.includes('a') && !each.includes('b'))).toBe(true);
    await world.pass(RETENTION_ROUND_MS);
    for (const key of keys) {
      for (const id of ['a', 'b']) expect(world.memories.get(id)!.retained.has(key)).toBe(true);
    }
    await world.pass(40_000);
    expect([await stateOf(desk), world.lost.size]).toEqual([['held 2'], 0]);
    for (const [id, { retained }] of world.memories) {
      expect([...retained].sort()).toEqual(keys.filter((_, i) => homes[i]!.includes(id)).sort());
    }
  });

  it('recomputes the blocks that a restarted fleet has lost', async () => {
    const desk = await start('a', 'b');
    await desk.retentions.add(ORDER);
    await world.pass(15_000);
    await world.close();
    const { kv } = world;
    world = new World();
    for (const key of ['list', 'prompt-0', 'lease']) await world.kv.create(key, (await kv.get(key))!.value);
    const next = world.desk('next');
    await world.worker('a');
    await world.worker('b');
    next.keeper.start();
    expect(await stateOf(next)).toEqual(['short 0']);
    await world.pass(20_000);
    expect(await stateOf(next)).toEqual(['held 2']);
  });

  it('gives up a prompt that workers refuse for good, and says why', async () => {
    const desk = await start('a', 'b');
    desk.recompute = async () => {
      throw new InvalidRequest('prompt: not in the vocabulary');
    };
    await desk.retentions.add(ORDER);
    await world.pass(120_000);
    expect(await desk.retentions.list('me')).toMatchObject([
      { state: 'failed', reason: 'prompt: not in the vocabulary' },
    ]);
    expect(desk.computed).toHaveLength(1);
  });

  it('says why a prompt is pending that crashes workers, until it is held', async () => {
    const desk = await start('a', 'b');
    desk.recompute = async () => {
      throw new PoisonousPrompt('workers crashed');
    };
    await desk.retentions.add(ORDER);
    await world.pass(5_000);
    expect(await desk.retentions.list('me')).toMatchObject([{ state: 'pending', reason: 'workers crashed' }]);
    for (const home of ['a', 'b']) world.take(home, keysOf(desk));
    await world.pass(20_000);
    expect(await desk.retentions.list('me')).toMatchObject([{ state: 'held', reason: null }]);
  });

  it('has workers with a long enough context compute a prompt, whether or not they are its homes', async () => {
    world = new World();
    const desk = world.desk('first');
    const small = { capacity: { contextTokens: TOKENS.length, sequences: 8, waiting: 256 } };
    for (const id of ['a', 'b']) await world.worker(id, [], 64, small);
    // It has too little memory to be the home of a segment.
    await world.worker('d', [], 1);
    desk.recompute = async () => {
      for (const home of ['a', 'b']) world.take(home, keysOf(desk));
    };
    desk.keeper.start();
    await desk.retentions.add(ORDER);
    await world.pass(20_000);
    expect(desk.computed).toEqual(['d']);
    expect((await desk.retentions.list('me'))[0]).not.toMatchObject({ state: 'failed' });
  });

  it('stores a prompt at the second attempt, if the first one failed', async () => {
    const desk = await start('a', 'b');
    const { store } = desk;
    const write = store.writePrompt;
    store.writePrompt = async () => {
      throw new Unavailable('NATS is away');
    };
    await expect(desk.retentions.add(ORDER)).rejects.toThrow('NATS is away');
    store.writePrompt = write;
    await desk.retentions.add(ORDER);
    await world.pass(15_000);
    expect(await stateOf(desk)).toEqual(['held 2']);
  });

  it('forgets a pin whose prompt was never stored', async () => {
    const desk = await start('a', 'b');
    desk.store.writePrompt = async () => {
      throw new Unavailable('NATS is away');
    };
    await expect(desk.retentions.add(ORDER)).rejects.toThrow('NATS is away');
    await world.pass(2_000);
    expect(await stateOf(desk)).toEqual(['pending 0']);
    await world.pass(62_000);
    expect(await desk.store.list()).toEqual([]);
  });

  it('goes by the clock of the store for the end of a pin, and by its own observation for a pin without a prompt', async () => {
    const desk = await start('a', 'b');
    const startMs = world.wallAheadMs + desk.hive.clock.now();
    const { createdMs, expiresMs } = (await desk.retentions.add(ORDER)) as RetentionView;
    expect(expiresMs - createdMs).toBe(ORDER.ttlMs);
    expect(Math.abs(createdMs - startMs)).toBeLessThanOrEqual(RETENTION_ROUND_MS);
    desk.store.writePrompt = async () => {
      throw new Unavailable('NATS is away');
    };
    await expect(desk.retentions.add({ ...ORDER, tokens: TOKENS.slice(64) })).rejects.toThrow('NATS is away');
    world.wallAheadMs += 1_800_000;
    await world.pass(2 * RETENTION_ROUND_MS);
    expect(await desk.store.list()).toHaveLength(2);
    world.wallAheadMs += 1_800_000;
    await world.pass(2 * RETENTION_ROUND_MS);
    expect(await desk.store.list()).toEqual([]);
  });

  it('is one at a time: one that was paused while another took over is refused by the workers', async () => {
    const first = await start('a', 'b');
    await first.retentions.add(ORDER);
    await world.pass(15_000);
    const second = world.desk('second');
    second.keeper.start();
    await world.pass(2_000);
    for (const { fences } of world.memories.values()) expect(new Set(fences)).toEqual(new Set([1]));
    const goOn = world.pause('first');
    await world.pass(LEASE_MS + 3_000);
    for (const { fences } of world.memories.values()) expect(fences.at(-1)).toBe(2);
    const [pin] = await second.retentions.list('me');
    await second.retentions.remove(pin!.id, 'me', () => {});
    await world.pass(2_000);
    for (const { retained } of world.memories.values()) expect(retained.size).toBe(0);
    // It still believes in the list that it read before its pause, and in its lease.
    goOn();
    await world.pass(400);
    for (const { retained, fences } of world.memories.values()) {
      expect(retained.size).toBe(0);
      expect(fences.at(-1)).toBe(1);
    }
    await world.pass(5_000);
    for (const { retained, fences } of world.memories.values()) {
      expect(retained.size).toBe(0);
      expect(fences.filter((fence) => fence > 2)).toEqual([]);
    }
  });

  it('takes a higher number where the bucket came back empty, and puts the pins back', async () => {
    const desk = await start('a', 'b');
    await desk.retentions.add(ORDER);
    const second = world.desk('second');
    second.keeper.start();
    await world.pass(15_000);
    const goOn = world.pause('first');
    await world.pass(LEASE_MS + 3_000);
    goOn();
    await world.pass(1_000);
    for (const key of ['lease', 'list', 'prompt-0']) await world.kv.delete(key);
    await world.pass(LEASE_MS + 10_000);
    expect(await stateOf(desk)).toEqual(['held 2']);
    for (const { fences, retained } of world.memories.values()) {
      expect(fences.at(-1)).toBeGreaterThan(2);
      expect(retained.size).toBe(10);
    }
  });
});
