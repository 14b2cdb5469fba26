import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FairShares, NO_TENANT, type Tenant } from '../../../src/core/fair-shares.js';
import { ON_PREFIX } from '../../../src/core/kv-dependence.js';
import { SamplingScratch } from '../../../src/core/sampling/scratch.js';
import type { DeviceBlock } from '../../../src/device/device.js';
import { admit } from '../../../src/engine/admission.js';
import { NO_OBSERVER } from '../../../src/engine/observer.js';
import type { PrefixCache } from '../../../src/engine/prefix-cache.js';
import { runPlan } from '../../../src/engine/run-plan.js';
import { Scheduler } from '../../../src/engine/scheduler.js';
import { Sequence } from '../../../src/engine/sequence.js';
import { PREFIX_OVERTAKERS, WaitingLine } from '../../../src/engine/waiting-line.js';
import { FakeRunner } from './support/fake-runner.js';
import { ask, FINGERPRINT } from './support/rig.js';

const CHUNK_TOKENS = 256;
const CONTEXT_TOKENS = 4_096;
const BOUNDS = {
  fingerprint: FINGERPRINT,
  vocab: 4,
  contextTokens: CONTEXT_TOKENS,
  blockTokens: 64,
  eosTokenIds: [],
  constraints: null,
  dependence: ON_PREFIX,
  promptLogprobsTokens: null,
  lastLogitsOnly: false,
  adapters: false,
  plan: runPlan(ON_PREFIX, { blockTokens: 64 }),
};

/** One request, and its outcome. */
interface Asked {
  readonly sequence: Sequence;
  readonly rounds: number;
  readonly startedAt: () => number | null;
  /** From its arrival to its first token. */
  ttftMs: number | null;
  readonly ended: Promise<unknown>;
  /** The number of runs by its arrival, and by its end. */
  readonly arrivedAt: number;
  endedAt: number | null;
}

/** A scheduler and its line over a fake runner. Prefixes are empty, and ready once their gate opens. */
class World {
  readonly runner: FakeRunner;
  readonly line: WaitingLine;
  readonly scheduler: Scheduler;
  readonly interTokenMs: number[] = [];
  readonly shares = new FairShares();
  readonly held = { pins: 0, claims: 0 };
  /** By request id: the promise that the prefix waits for, if any. */
  readonly gates = new Map<string, Promise<void>>();
  /** Whether computed blocks are kept, and found again by their keys. */
  keeps = false;
  readonly kept = new Set<string>();
  private salts = 0;
  private readonly scratch = new SamplingScratch(BOUNDS.vocab);
  private readonly ends = new Map<Sequence, (error: unknown) => void>();
  private readonly run: Promise<void>;

  constructor(capacity: number, maxLength = 1_000, pauseMs = 0) {
    this.runner = new FakeRunner(capacity);
    const cache = this.cache();
    const clockNow = () => this.runner.nowMs;
    const { shares } = this;
    this.line = new WaitingLine({
      cache,
      adapters: null,
      shares,
      slots: capacity,
      clockNow,
      maxLength,
      prepareCount: capacity + 8,
      onReady: () => this.scheduler.wake(),
      onFailed: (sequence, error) => {
        this.line.remove(sequence);
        this.ends.get(sequence)!(error);
      },
    });
    this.scheduler = new Scheduler({
      runner: this.runner,
      line: this.line,
      shares,
      cache,
      blockTokens: BOUNDS.blockTokens,
      plan: BOUNDS.plan,
      outgrown: () => null,
      chunkTokens: CHUNK_TOKENS,
      chunkTokensWithLogits: CHUNK_TOKENS,
      pauseMs,
      draftTokens: 0,
      observer: { ...NO_OBSERVER, onInterToken: (ms) => this.interTokenMs.push(ms) },
      clockNow,
      onEnd: (sequence, error) => this.ends.get(sequence)!(error),
    });
    this.run = this.scheduler.run();
  }

  ask(promptTokens: number, maxTokens: number, requestId = 'request', tenant: Tenant = NO_TENANT): Asked {
    const plain = ask(new Array(promptTokens).fill(2), {
      requestId,
      stopping: { maxTokens },
      // No two requests have blocks in common.
      salt: String(this.salts++),
    });
    const request = tenant === NO_TENANT ? plain : { ...plain, tenant };
    const sequence = new Sequence(admit(request, BOUNDS), BOUNDS, this.scratch, this.runner.nowMs, (of) => {
      if (of.state.name === 'ended') return;
      if (of.state.name === 'prefilling' || of.state.name === 'decoding') this.scheduler.onCancelled(of);
      else {
        this.line.remove(of);
        this.ends.get(of)!(null);
      }
    });
    let startedAt: number | null = null;
    const push = sequence.events.push.bind(sequence.events);
    sequence.events.push = (event) => {
      if (event.type === 'start') startedAt = this.runner.runs.length;
      if (event.type === 'tokens') asked.ttftMs ??= this.runner.nowMs - sequence.arrivedMs;
      push(event);
    };
    const asked: Asked = {
      sequence,
      rounds: Math.ceil(promptTokens / CHUNK_TOKENS) + maxTokens,
      startedAt: () => startedAt,
      ttftMs: null,
      arrivedAt: this.runner.runs.length,
      endedAt: null,
      ended: new Promise((resolve) => {
        this.ends.set(sequence, (error) => {
          asked.endedAt = this.runner.runs.length;
          resolve(error);
        });
      }),
    };
    this.line.enqueue(sequence, () => {});
    return asked;
  }

  /** Lets the scheduler run until its clock shows this time, or until nothing is left to run. */
  async runUntil(nowMs: number): Promise<void> {
    for (let idle = 0; this.runner.nowMs < nowMs && idle < 20; ) {
      const before = this.runner.nowMs;
      await settled();
      idle = this.runner.nowMs === before ? idle + 1 : 0;
    }
  }

  async close(): Promise<void> {
    this.scheduler.stop();
    await this.run;
  }

  private cache(): PrefixCache {
    return {
      prepare: async ({ requestId, blocks }) => {
        await this.gates.get(requestId);
        const pinned = { pins: 1, claims: 0 };
        const free = (kind: 'pins' | 'claims') => {
          this.held[kind] -= pinned[kind];
          pinned[kind] = 0;
        };
        this.held.pins++;
        const missing = blocks.findIndex(({ key }) => !this.kept.has(key));
        const found = blocks.slice(0, missing === -1 ? blocks.length : missing).map(() => ({}) as DeviceBlock);
        return {
          blocks: found,
          localBlocks: found.length,
          remoteBlocks: 0,
          claim: () => {
            pinned.claims++;
            this.held.claims++;
            return true;
          },
          unpin: () => free('pins'),
          settle: () => free('claims'),
        };
      },
      reserve: ({ key }) => {
        if (!this.keeps || this.kept.has(key)) return null;
        return { memory: {} as DeviceBlock, commit: () => void this.kept.add(key), abort: () => {} };
      },
    };
  }
}

let world: World;
beforeEach(() => {
  world = new World(8);
});
afterEach(async () => {
  await world.close();
  expect(world.held).toEqual({ pins: 0, claims: 0 });
  expect(world.runner.acquired).toBe(0);
});

/** Calls `act` before the `n`-th run from now. */
function beforeRun(n: number, act: () => void): void {
  const at = world.runner.runs.length + n;
  const before = world.runner.onRun;
  world.runner.onRun = () => {
    before();
    if (world.runner.runs.length === at) act();
  };
}

function kinds(): string {
  return world.runner.runs.map(({ kind }) => kind[0]).join('');
}

describe('a long prompt among streams', () => {
  test('is computed chunk by chunk, with a decode step of all streams after each', async () => {
    const streams = [1, 2, 3, 4].map(() => world.ask(128, 100));
    const arriving: Asked[] = [];
    beforeRun(20, () => arriving.push(world.ask(2_000, 1)));
    await Promise.all(streams.map(({ ended }) => ended));
    const from = arriving[0]!.arrivedAt;
    expect(kinds().slice(0, 8)).toBe('pdpdpdpd');
    // A decode step is running at its arrival; then 2,000 tokens take eight chunks.
    expect(kinds().slice(from, from + 20)).toBe('dpdpdpdpdpdpdpdpdddd');
    for (const run of world.runner.runs.slice(from, from + 20)) {
      if (run.kind === 'decode') expect(run.slots).toHaveLength(4);
    }
    // No token waits for more than one chunk and one step.
    expect(Math.max(...world.interTokenMs)).toBe(CHUNK_TOKENS + FakeRunner.STEP_MS);
  });

  test('never delays decoding sequences by two chunks in a row, however many long prompts arrive', async () => {
    const streams = [1, 2].map(() => world.ask(10, 200));
    const long: Asked[] = [];
    for (let i = 0; i < 6; i++) beforeRun(10 + i, () => long.push(world.ask(1_000 + 500 * i, 3)));
    await Promise.all(streams.map(({ ended }) => ended));
    await Promise.all(long.map(({ ended }) => ended));
    expect(kinds().slice(1)).not.toContain('pp');
    expect(Math.max(...world.interTokenMs)).toBeLessThan(2.5 * CHUNK_TOKENS);
  });
});

describe('a long prompt beside answers', () => {
  const prefills = () => world.runner.runs.flatMap((run) => (run.kind === 'prefill' ? [run.tokens] : []));

  test('is computed in shorter chunks once they are known to pause the answers for too long', async () => {
    await world.close();
    // The fake runner takes 1 ms per token.
    world = new World(8, 1_000, 150);
    await world.ask(3_000, 1).ended;
    const alone = world.runner.runs.length;
    expect(new Set(prefills().slice(0, -1))).toEqual(new Set([CHUNK_TOKENS]));
    const stream = world.ask(10, 100);
    beforeRun(10, () => void world.ask(2_000, 1));
    await stream.ended;
    const beside = world.runner.runs.slice(alone + 1).flatMap((run) => (run.kind === 'prefill' ? [run.tokens] : []));
    expect(new Set(beside.slice(0, -1))).toEqual(new Set([CHUNK_TOKENS / 2]));
    expect(Math.max(...world.interTokenMs)).toBe(CHUNK_TOKENS / 2 + FakeRunner.STEP_MS);
  });
});

describe('fairness', () => {
  const Arrival = fc.record({
    beforeRun: fc.nat(60),
    promptTokens: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1_000, max: 4_000 })),
    maxTokens: fc.integer({ min: 1, max: 40 }),
  });

  test('a request ends within a number of rounds that only earlier requests determine', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(Arrival, { minLength: 1, maxLength: 40 }),
        async (capacity, arrivals) => {
          world = new World(capacity);
          const asked: (Asked & { before: number })[] = [];
          const arrive = ({ promptTokens, maxTokens }: (typeof arrivals)[number]) => {
            const before = asked.filter(({ endedAt }) => endedAt === null).reduce((sum, { rounds }) => sum + rounds, 0);
            asked.push(Object.assign(world.ask(promptTokens, maxTokens), { before }));
          };
          const later = arrivals
            .filter((arrival) => arrival.beforeRun > 0)
            .toSorted((a, b) => a.beforeRun - b.beforeRun);
          world.runner.onRun = () => {
            while (later[0] && later[0].beforeRun <= world.runner.runs.length) arrive(later.shift()!);
          };
          for (const arrival of arrivals) if (arrival.beforeRun === 0) arrive(arrival);
          // If nothing runs any more, the next request arrives.
          for (let next = later.shift(); ; next = later.shift()) {
            await Promise.all(asked.map(({ ended }) => ended));
            if (next === undefined) break;
            arrive(next);
          }
          for (const one of asked) {
            expect(await one.ended).toBeNull();
            // At most two runs per round, plus the round that was running at its arrival.
            expect(one.endedAt! - one.arrivedAt).toBeLessThanOrEqual(2 * (one.before + one.rounds + 1));
          }
          const order = asked.map(({ startedAt }) => startedAt()!);
          expect(order).toEqual(order.toSorted((a, b) => a - b));
          await world.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a request with a slow prefix is overtaken a bounded number of times, then is the next', async () => {
    let open = () => {};
    world.gates.set(
      'slow',
      new Promise((resolve) => {
        open = resolve;
      }),
    );
    const slow = world.ask(100, 2, 'slow');
    const others: Asked[] = [];
    for (let i = 0; i < PREFIX_OVERTAKERS; i++) others.push(world.ask(10, 1));
    await Promise.all(others.map(({ ended }) => ended));
    const behind = world.ask(10, 1);
    await settled();
    expect(world.line.ready).toBe(false);
    expect(behind.startedAt()).toBeNull();
    open();
    await Promise.all([slow.ended, behind.ended]);
    expect(slow.startedAt()).toBeLessThan(behind.startedAt()!);
  });

  test('requests behind a slow prefix continue when its request is cancelled', async () => {
    world.gates.set('slow', new Promise(() => {}));
    const slow = world.ask(100, 2, 'slow');
    for (let i = 0; i < PREFIX_OVERTAKERS; i++) await world.ask(10, 1).ended;
    const behind = world.ask(10, 1);
    await settled();
    expect(behind.startedAt()).toBeNull();
    slow.sequence.cancel(new Error('gone'));
    expect(await behind.ended).toBeNull();
  });
});

describe('tenants', () => {
  const [a, b] = [
    { name: 'a', weight: 1 },
    { name: 'b', weight: 1 },
  ];

  /** The 95th percentile of the time to b's first token, for one request after another beside `others` requests of a at any time. */
  async function p95BesideMs(others: number, answerTokens: number): Promise<number> {
    const beside = new World(8);
    beside.keeps = true;
    let closing = false;
    const load = Array.from({ length: others }, async () => {
      while (!closing) await beside.ask(2_000, answerTokens, 'a', a).ended;
    });
    const ttfts: number[] = [];
    for (let i = 0; i < 40; i++) {
      // At a different point of a's work each time.
      await beside.runUntil(beside.runner.nowMs + 100 + 137 * (i % 29));
      const asked = beside.ask(500, 8, 'b', b);
      await asked.ended;
      ttfts.push(asked.ttftMs!);
    }
    closing = true;
    for (const sequence of [...beside.line.sequences(), ...beside.scheduler.sequences()])
      sequence.cancel(new Error('over'));
    await Promise.all(load);
    await beside.close();
    return ttfts.toSorted((x, y) => x - y)[Math.floor(0.95 * ttfts.length)]!;
  }

  test.each([8, 300])('with answers of %d tokens, the queue of one does not hold up another', async (answerTokens) => {
    const alone = await p95BesideMs(1, answerTokens);
    const queued = await p95BesideMs(400, answerTokens);
    expect(queued).toBeLessThanOrEqual(2 * alone);
  });

  test('let a short prompt pass between the chunks of a long one, which loses nothing and starts once', async () => {
    world.keeps = true;
    const long = world.ask(3_000, 4, 'long', a);
    const starts: unknown[] = [];
    const push = long.sequence.events.push.bind(long.sequence.events);
    long.sequence.events.push = (event) => {
      if (event.type === 'start') starts.push(event.cached);
      push(event);
    };
    let short: Asked | null = null;
    beforeRun(3, () => {
      short = world.ask(300, 4, 'short', b);
    });
    expect(await long.ended).toBeNull();
    expect(await short!.ended).toBeNull();
    expect(short!.endedAt).toBeLessThan(long.endedAt!);
    expect(short!.ttftMs).toBeLessThan(2 * CHUNK_TOKENS + 300);
    expect(long.sequence.pauses).toBe(1);
    expect(starts).toEqual([{ local: 0, remote: 0, computed: 3_000 }]);
    const computed = world.runner.runs.flatMap((run) => (run.kind === 'prefill' ? [run.tokens] : []));
    expect(computed.reduce((sum, tokens) => sum + tokens, 0)).toBe(3_300);
    expect(world.scheduler.promptTokens).toEqual({ local: 0, remote: 0, computed: 3_300 });
  });

  test('do not interrupt a prompt whose blocks are not kept', async () => {
    const long = world.ask(3_000, 1, 'long', a);
    let short: Asked | null = null;
    beforeRun(3, () => {
      short = world.ask(300, 1, 'short', b);
    });
    await Promise.all([long.ended]);
    expect(await short!.ended).toBeNull();
    expect(long.sequence.pauses).toBe(0);
  });

  test('get time in proportion to their weights', async () => {
    const heavy = { name: 'heavy', weight: 3 };
    const order: string[] = [];
    const load = Array.from({ length: 40 }, (_, i) => {
      const who = i < 20 ? a : heavy;
      const asked = world.ask(1_000, 1, who.name, who);
      return asked.ended.then(() => order.push(who.name));
    });
    await Promise.all(load);
    const early = order.slice(0, 20).filter((name) => name === 'heavy').length;
    expect(early).toBeGreaterThanOrEqual(14);
    expect(early).toBeLessThanOrEqual(16);
  });

  test('pay for the chunks of prompts that they cancel', async () => {
    const cut: Asked[] = [];
    let over = false;
    const askAndCut = () => {
      const asked = world.ask(CHUNK_TOKENS, 9, 'a', a);
      cut.push(asked);
      void asked.ended.then(() => over || askAndCut());
    };
    world.runner.onRun = () => {
      for (const { sequence } of cut)
        if (sequence.state.name === 'prefilling' || over) sequence.cancel(new Error('cut'));
    };
    for (let i = 0; i < 4; i++) askAndCut();
    const others = Array.from({ length: 20 }, () => world.ask(CHUNK_TOKENS, 1, 'b', b));
    await Promise.all(others.slice(0, 19).map(({ ended }) => ended));
    over = true;
    expect(cut.length).toBeLessThan(40);
    await Promise.all([...cut, others[19]!].map(({ ended }) => ended));
  });

  test('pay for a step whose token they do not want', async () => {
    const cut = world.ask(10, 9, 'a', a);
    world.runner.onRun = () => {
      if (cut.sequence.state.name === 'decoding') cut.sequence.cancel(new Error('cut'));
    };
    await Promise.all([cut.ended, world.ask(10, 1, 'b', b).ended]);
    expect(world.shares.isBehind(b, a)).toBe(true);
  });

  test('with few requests get a place in a full line from the one with most', async () => {
    const full = new World(1, 4);
    const running = full.ask(4_000, 50, 'a', a);
    await settled();
    const waiting = Array.from({ length: 4 }, () => full.ask(100, 1, 'a', a));
    expect(() => full.ask(100, 1, 'a', a)).toThrow(/4 requests already wait/);
    const mine = full.ask(100, 1, 'b', b);
    expect(await waiting[3]!.ended).toMatchObject({ code: 'overloaded' });
    expect(await mine.ended).toBeNull();
    for (const one of [running, ...waiting.slice(0, 3)]) expect(await one.ended).toBeNull();
    await full.close();
  });
});

test('a sequence that gets no slot ends with the error and leaks nothing, and others continue', async () => {
  const running = world.ask(10, 20);
  const refused: Asked[] = [];
  beforeRun(5, () => {
    world.runner.onAcquire = () => {
      world.runner.onAcquire = () => {};
      throw new Error('no memory for a slot');
    };
    refused.push(world.ask(10, 5), world.ask(10, 5));
  });
  expect(await running.ended).toBeNull();
  expect(await refused[0]!.ended).toEqual(new Error('no memory for a slot'));
  expect(refused[0]!.sequence.state.name).toBe('ended');
  expect(await refused[1]!.ended).toBeNull();
});

/** Resolves when no promise callback is left to run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
