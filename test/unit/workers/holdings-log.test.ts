import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker, type MemoryBus } from '../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Holdings } from '../../../src/core/holdings.js';
import { unpackKeys } from '../../../src/core/key.js';
import { HOLDINGS_KEYS_PER_MESSAGE, HoldingsDelta, HoldingsKeys } from '../../../src/protocol/holdings.js';
import { readMessage } from '../../../src/wire/read-message.js';
import { HoldingsLog } from '../../../workers/holdings-log.js';
import { Cache, chain } from './support/cache.js';

const SELF = { id: 'own', incarnation: '0001', subject: 'fleet.holdings.own' };

/** A worker's log, and one who hears it. */
class World {
  readonly clock = new SimulatedClock();
  readonly broker: MemoryBroker;
  readonly bus: MemoryBus;
  readonly cache: Cache;
  readonly log: HoldingsLog;
  readonly heard: HoldingsDelta[] = [];
  /** Told over direct links. */
  readonly direct: unknown[] = [];
  sizes: number[] = [];

  constructor(budgetBlocks: number, maxPayloadBytes?: number) {
    this.broker = new MemoryBroker(maxPayloadBytes === undefined ? {} : { maxPayloadBytes });
    this.bus = this.broker.connect('own');
    this.cache = new Cache(budgetBlocks);
    this.log = new HoldingsLog(this.cache.store, this.bus, this.clock, SELF, {
      tell: (_, delta, published) => void (published || this.direct.push(delta)),
    });
    this.broker.connect('listener').subscribe('fleet.holdings.*', ({ payload }) => {
      this.heard.push(readMessage(HoldingsDelta, payload)!);
      this.sizes.push(payload.byteLength);
    });
  }
}

describe('a log of holdings', () => {
  let world: World;
  beforeEach(() => {
    world = new World(8);
  });
  afterEach(() => {
    world.log.stop();
    expect(world.cache.close()).toEqual([]);
  });

  it('reports added and removed blocks, batched and numbered', async () => {
    const [a, b] = [chain('a', 3), chain('b', 1)];
    world.cache.fill(a);
    await world.clock.advance(10);
    world.cache.fill(b);
    world.cache.store.reset();
    await world.clock.advance(10);
    expect(world.heard.map(({ seq }) => seq)).toEqual([1, 2]);
    expect(world.heard[0]).toMatchObject({ worker: 'own', incarnation: '0001' });
    expect(unpackKeys(world.heard[0]!.added)).toEqual(a.map(({ key }) => key));
    expect(unpackKeys(world.heard[0]!.removed)).toEqual([]);
    expect(unpackKeys(world.heard[1]!.added)).toEqual([]);
    expect(new Set(unpackKeys(world.heard[1]!.removed))).toEqual(new Set([...a, ...b].map(({ key }) => key)));
    expect(world.log.lastSeq).toBe(2);
  });

  it('reports a block that left and came back as present', async () => {
    const a = chain('a', 1);
    world.cache.fill(a);
    await world.clock.advance(10);
    world.cache.store.reset();
    world.cache.fill(a);
    await world.clock.advance(10);
    expect(unpackKeys(world.heard[1]!.added)).toEqual([a[0]!.key]);
    expect(unpackKeys(world.heard[1]!.removed)).toEqual([]);
  });

  it('survives a lost bus, and counts reports that it could not send, so that the gap shows', async () => {
    world.cache.fill(chain('a', 1));
    await world.clock.advance(10);
    world.bus.lose();
    world.cache.fill(chain('b', 1));
    await world.clock.advance(10);
    world.bus.restore();
    expect(world.log.lastSeq).toBe(2);
    expect(world.direct).toMatchObject([{ worker: 'own', seq: 2 }]);
    world.cache.fill(chain('c', 1));
    await world.clock.advance(10);
    expect(world.heard.map(({ seq }) => seq)).toEqual([1, 3]);
  });

  it('sends no report after it was stopped', async () => {
    world.cache.fill(chain('a', 1));
    world.log.stop();
    world.cache.fill(chain('b', 1));
    await world.clock.advance(10);
    expect(world.heard).toEqual([]);
    expect(world.clock.nextAtMs()).toBeNull();
  });

  it('gives the whole in pages that fit a message, with the number of the last change in it', async () => {
    const small = new World(300, 8192);
    const blocks = Array.from({ length: 300 }, (_, i) => chain(`prompt ${i}`, 1)[0]!);
    small.cache.fill(blocks);
    const pages = [...small.log.pages()];
    expect(pages.length).toBeGreaterThan(1);
    expect(pages.map(({ last }) => last)).toEqual(pages.map((_, i) => i === pages.length - 1));
    expect(new Set(pages.map(({ seq }) => seq))).toEqual(new Set([small.log.lastSeq]));
    expect(pages.flatMap(({ keys }) => unpackKeys(keys)).sort()).toEqual(small.cache.store.keys().sort());
    await small.clock.advance(10);
    expect(small.heard.flatMap(({ added }) => unpackKeys(added)).sort()).toEqual(small.cache.store.keys().sort());
    expect(Math.max(...small.sizes)).toBeLessThanOrEqual(8192);
    small.log.stop();
    expect(small.cache.close()).toEqual([]);
  });

  it('gives one empty page without blocks', () => {
    const pages = [...world.log.pages()];
    expect(pages.length).toBe(1);
    expect(pages[0]).toMatchObject({ seq: 0, last: true });
    expect(pages[0]!.keys.byteLength).toBe(0);
  });

  it('never has more keys in a message than its readers take', async () => {
    const count = HOLDINGS_KEYS_PER_MESSAGE + 10;
    const large = new World(count);
    large.cache.fill(Array.from({ length: count }, (_, i) => chain(`prompt ${i}`, 1)[0]!));
    await large.clock.advance(10);
    const pages = [...large.log.pages()];
    expect(pages.every(({ keys }) => HoldingsKeys.safeParse(keys).success)).toBe(true);
    large.cache.store.reset();
    await large.clock.advance(10);
    expect(large.heard.every((delta) => delta !== null)).toBe(true);
    expect(large.heard.length).toBeGreaterThan(2);
    large.log.stop();
    expect(large.cache.close()).toEqual([]);
  });

  it('leaves an index that follows it with the truth, however many messages are lost', async () => {
    const ops = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant('add' as const), nth: fc.nat(9) }),
        fc.record({ do: fc.constantFrom('reset' as const, 'lose' as const, 'restore' as const, 'pass' as const) }),
      ),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(ops, async (steps) => {
        const one = new World(4);
        const index = new Holdings();
        const prompts = Array.from({ length: 10 }, (_, i) => chain(`prompt ${i}`, 1)[0]!);
        const resync = (wanted: ReturnType<Holdings['beginSnapshot']> | null): void => {
          if (wanted === null) return;
          for (const page of one.log.pages()) resync(index.applyPage(wanted, page));
        };
        let told = 0;
        const listen = () => {
          for (; told < one.heard.length; told++) resync(index.applyChange(one.heard[told]!));
        };
        const announce = () => {
          if (one.bus.connected) resync(index.announced('own', '0001', one.log.lastSeq));
        };
        for (const step of steps) {
          if (step.do === 'add' && !one.cache.store.has(prompts[step.nth]!.key)) one.cache.fill([prompts[step.nth]!]);
          if (step.do === 'reset') one.cache.store.reset();
          if (step.do === 'lose') one.bus.lose();
          if (step.do === 'restore') one.bus.restore();
          if (step.do === 'pass') await one.clock.advance(10);
          listen();
          announce();
        }
        one.bus.restore();
        await one.clock.advance(10);
        listen();
        announce();
        announce();
        listen();
        expect(index.keysOf('own')).toBe(one.cache.store.blocks);
        for (const { key } of prompts) expect(index.holders(key).length > 0).toBe(one.cache.store.has(key));
        one.log.stop();
        expect(one.cache.close()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
