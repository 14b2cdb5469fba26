import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InFlight } from '../../../coordinator/in-flight.js';
import { SimulatedClock } from '../../../src/clock.js';
import { Holdings } from '../../../src/core/holdings.js';
import type { Member } from '../../../src/core/member.js';
import { place } from '../../../src/core/placement.js';
import { Rate } from '../../../src/engine/rate.js';
import { ANNOUNCE_INTERVAL_MS, BLOCK_TOKENS } from '../../../src/limits.js';
import { SeededRandom } from '../../../src/random.js';
import { announcement } from '../../support/announcement.js';

/** A request that some worker of `World` runs. */
interface Work {
  readonly tokens: number;
  end(): void;
}

/** A worker that computes one prompt after another. */
class SimulatedWorker {
  readonly rate = new Rate();
  served = 0;
  private readonly queue: Work[] = [];

  constructor(
    private readonly world: World,
    readonly id: string,
    private readonly msPerToken: number,
  ) {}

  take(work: Work): void {
    this.served++;
    this.queue.push(work);
    this.world.announce(this);
    if (this.queue.length === 1) this.computeFirst();
  }

  get says(): Member {
    const queuedTokens = this.queue.reduce((sum, { tokens }) => sum + tokens, 0);
    return announcement(this.id, {
      running: Math.min(1, this.queue.length),
      waiting: Math.max(0, this.queue.length - 1),
      queuedTokens,
      rates: { computeMsPerToken: this.rate.msPerUnit, decodeMsPerStep: 1, fetchBytesPerMs: 1_000_000 },
      computeAgeMs: this.rate.ageMs(this.world.clock.now()),
    });
  }

  private computeFirst(): void {
    const { clock, random } = this.world;
    const [work] = this.queue;
    const ms = work!.tokens * this.msPerToken * (0.8 + 0.4 * random.next());
    clock.after(ms, () => {
      if (work!.tokens >= BLOCK_TOKENS) this.rate.add(ms, work!.tokens, clock.now());
      this.queue.shift();
      work!.end();
      this.world.announce(this);
      if (this.queue.length > 0) this.computeFirst();
    });
  }
}

/** Coordinators that place requests on simulated workers, by what those announce. */
class World {
  readonly clock = new SimulatedClock(0);
  readonly random: SeededRandom;
  readonly workers: SimulatedWorker[];
  private readonly coordinators: { readonly members: Map<string, Member>; readonly inFlight: InFlight }[];

  /** @param speeds the workers' real speeds, in milliseconds per token */
  constructor(seed: number, speeds: readonly number[], coordinators = 1) {
    this.random = new SeededRandom(seed);
    this.workers = speeds.map((speed, i) => new SimulatedWorker(this, `worker-${i + 1}`, speed));
    this.coordinators = Array.from({ length: coordinators }, () => ({ members: new Map(), inFlight: new InFlight() }));
    for (const worker of this.workers) {
      this.announce(worker);
      this.clock.every(ANNOUNCE_INTERVAL_MS, () => this.announce(worker));
    }
    this.advance(10);
  }

  announce(worker: SimulatedWorker): void {
    const said = worker.says;
    for (const { members, inFlight } of this.coordinators) {
      this.clock.after(1 + 4 * this.random.next(), () => {
        members.set(said.id, said);
        inFlight.announced(said.id, { requests: said.running + said.waiting, computeTokens: said.queuedTokens });
      });
    }
  }

  /** Places a request with a prompt that no worker holds; `over` is called when it ends. */
  ask(tokens: number, coordinator = 0, over: () => void = () => {}): string {
    const { members, inFlight } = this.coordinators[coordinator]!;
    const ids = [...members.keys()].sort();
    const from = this.random.below(ids.length);
    const [best] = place({
      promptTokens: tokens,
      contextTokens: tokens + 1,
      blockTokens: BLOCK_TOKENS,
      coverage: new Holdings().coverage([]),
      members: [...members.values()],
      // The ring orders the workers by the first segment: at random.
      ringOrder: tokens < BLOCK_TOKENS ? [] : [...ids.slice(from), ...ids.slice(0, from)],
      loads: inFlight.loads,
      excluded: new Set(),
      draw: this.random.below(2 ** 32),
    });
    const { worker, computeTokens } = best!;
    const load = inFlight.add(worker, computeTokens);
    const end = () => {
      load.done();
      over();
    };
    this.clock.after(1, () => this.workers.find(({ id }) => id === worker)!.take({ tokens: computeTokens, end }));
    return worker;
  }

  /** Asks one request after another. */
  askInTurn(count: number, tokens: number): void {
    for (let i = 0; i < count; i++) {
      let over = false;
      this.ask(tokens, 0, () => {
        over = true;
      });
      while (!over) this.clock.step();
      this.advance(5);
    }
  }

  advance(ms: number): void {
    const untilMs = this.clock.now() + ms;
    while ((this.clock.nextAtMs() ?? Infinity) <= untilMs) this.clock.step();
    this.clock.after(untilMs - this.clock.now(), () => {});
    while (this.clock.now() < untilMs) this.clock.step();
  }

  get shares(): number[] {
    const all = this.workers.reduce((sum, { served }) => sum + served, 0);
    return this.workers.map(({ served }) => served / all);
  }
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const sizes = fc.integer({ min: 2, max: 8 });
const equal = (size: number) => new Array<number>(size).fill(0.5);

describe('requests for new prompts, one after another', () => {
  it.each([
    ['of several blocks', 600],
    ['of less than a block', 20],
  ])('%s are shared by equal workers', (_, tokens) => {
    fc.assert(
      fc.property(seeds, sizes, (seed, size) => {
        const world = new World(seed, equal(size));
        // So many that chance alone does not reach the bounds.
        world.askInTurn(200 * size, tokens);
        for (const share of world.shares) {
          expect(share).toBeGreaterThan(0.5 / size);
          expect(share).toBeLessThan(1.6 / size);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('come back to a worker that measured itself far too slow', () => {
    fc.assert(
      fc.property(seeds, sizes, fc.integer({ min: 2, max: 20 }), (seed, size, factor) => {
        const world = new World(seed, equal(size));
        world.workers[0]!.rate.add(600 * 0.5 * factor, 600, 0);
        world.askInTurn(20, 600);
        world.advance(1_000);
        world.askInTurn(300, 600);
        const before = world.workers[0]!.served;
        world.askInTurn(40 * size, 600);
        expect((world.workers[0]!.served - before) / (40 * size)).toBeGreaterThan(0.4 / size);
      }),
      { numRuns: 20 },
    );
  });

  it('go less often to a slow worker, but do not leave it out', () => {
    fc.assert(
      fc.property(seeds, sizes, fc.integer({ min: 3, max: 10 }), (seed, size, factor) => {
        const world = new World(seed, [0.5 * factor, ...equal(size - 1)]);
        world.askInTurn(1_000, 600);
        const [slow] = world.shares;
        expect(slow).toBeGreaterThan(0);
        expect(slow).toBeLessThan(0.25 / size);
      }),
      { numRuns: 10 },
    );
  });
});

describe('requests of several coordinators', () => {
  it('at the same time are spread over equal workers', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const world = new World(seed, equal(4), 4);
        let together = 0;
        for (let round = 0; round < 100; round++) {
          const chosen = [0, 1, 2, 3].map((coordinator) => world.ask(20, coordinator));
          if (new Set(chosen).size === 1) together++;
          world.advance(500);
        }
        expect(together).toBeLessThan(10);
        for (const share of world.shares) expect(share).toBeLessThan(0.4);
      }),
      { numRuns: 10 },
    );
  });

  it('take the load of other coordinators into account once the worker has announced it', () => {
    fc.assert(
      fc.property(seeds, sizes, (seed, size) => {
        const world = new World(seed, equal(size), 2);
        const busy = world.ask(2_000, 0);
        world.advance(20);
        expect(world.ask(600, 1)).not.toBe(busy);
      }),
      { numRuns: 20 },
    );
  });

  it('that keep all workers busy are shared by speed', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const world = new World(seed, [0.5, 0.5, 0.5, 2], 3);
        // 600 tokens take 300 ms: the fleet ends one every 92 ms.
        for (let i = 0; i < 1_500; i++) {
          world.ask(600, i % 3);
          world.advance(200 * world.random.next() * 0.95);
        }
        const [a, b, c, slow] = world.shares;
        for (const share of [a, b, c]) expect(Math.abs(share! - 0.3)).toBeLessThan(0.06);
        expect(slow).toBeGreaterThan(0.02);
        expect(slow).toBeLessThan(0.16);
      }),
      { numRuns: 4 },
    );
  });
});
