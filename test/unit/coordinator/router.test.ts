import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FleetEvent, FleetRequest } from '../../../coordinator/fleet.js';
import {
  LISTEN_FOR_MEMBERS_MS,
  RESTART_EXPECTED_MS,
  RESTART_WAIT_MS,
  WAITING_REQUESTS,
} from '../../../coordinator/restarts.js';
import { CALL_HEARTBEAT_MS } from '../../../src/actors/system.js';
import { blockKeys, packKeys, rootSeed } from '../../../src/core/key.js';
import { Cancelled, InvalidRequest, Overloaded, Unavailable, Unheard } from '../../../src/errors.js';
import { BLOCK_TOKENS } from '../../../src/limits.js';
import { GenerateRequest, unpackTokens } from '../../../src/protocol/generate.js';
import { encode } from '../../../src/wire/msgpack.js';
import { FINGERPRINT } from '../../support/announcement.js';
import { deferred } from '../actors/world.js';
import { GREEDY, TEN_TOKENS } from '../engine/support/rig.js';
import { Hive, type ScriptedWorker, saying } from './support/hive.js';

const RATES = { computeMsPerToken: 1, decodeMsPerStep: 1, fetchBytesPerMs: 1_000_000 };

function prompt(blocks: number, over: Partial<FleetRequest> = {}): FleetRequest {
  const tokens = Uint32Array.from({ length: blocks * BLOCK_TOKENS + 5 }, (_, i) => i % 1000);
  return { requestId: 'r', tokens, salt: null, sampling: GREEDY, stopping: TEN_TOKENS, worker: null, ...over };
}
function keysOf({ tokens, salt }: FleetRequest): string[] {
  return blockKeys(tokens, rootSeed({ fingerprint: FINGERPRINT, adapter: '', salt: salt ?? '' })).map(({ key }) => key);
}

describe('a router', () => {
  let hive: Hive;
  const controllers: AbortController[] = [];

  beforeEach(() => {
    hive = new Hive();
  });
  afterEach(async () => {
    for (const controller of controllers.splice(0)) controller.abort();
    await hive.clock.advance(100);
    await hive.close();
  });

  interface Run {
    readonly events: FleetEvent[];
    readonly abort: AbortController;
    error: unknown;
    over: boolean;
  }
  /** Runs a request in the background and collects its events. */
  function run(request: FleetRequest): Run {
    const abort = new AbortController();
    controllers.push(abort);
    const its: Run = { events: [], abort, error: null, over: false };
    void (async () => {
      try {
        for await (const event of hive.router.generate(request, abort.signal)) its.events.push(event);
      } catch (error) {
        its.error = error;
      }
      its.over = true;
    })();
    return its;
  }
  function startedBy({ events }: Run): string | undefined {
    const [first] = events;
    return first?.type === 'start' ? first.worker : undefined;
  }
  /** Makes a worker hold its requests until `go`. */
  function held(worker: ScriptedWorker): { go(): void } {
    const gate = deferred();
    worker.generate = async function* () {
      await gate.promise;
      yield* saying([7]);
    };
    return { go: gate.resolve };
  }

  it('sends a request to the worker that holds most of its prompt, with keys and other sources', async () => {
    const [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
    const request = prompt(4);
    const keys = keysOf(request);
    a.take(keys.slice(0, 1));
    b.take(keys.slice(0, 3));
    await hive.pass(10);
    const its = run(request);
    await hive.pass(100);
    expect(its.over).toBe(true);
    expect(startedBy(its)).toBe('b');
    expect(b.requests.length).toBe(1);
    expect(b.requests[0]!.sources).toEqual([{ worker: 'a', blocks: 1 }]);
    expect([...unpackTokens(b.requests[0]!.tokens)]).toEqual([...request.tokens]);
  });

  it('separates tenants', async () => {
    const a = await hive.add('a');
    run(prompt(2, { salt: 'one' }));
    run(prompt(2, { salt: 'two' }));
    await hive.pass(200);
    expect(a.requests.length).toBe(2);
    expect(a.requests.map(({ salt }) => salt)).toEqual(['one', 'two']);
  });

  it('sends a valid request however many workers hold the prompt', async () => {
    const request = prompt(40);
    for (let i = 0; i < 30; i++) {
      const worker = await hive.add(`worker-${i}`, { rates: RATES });
      worker.take(keysOf(request).slice(0, 1 + i));
    }
    await hive.pass(10);
    run(request);
    await hive.pass(100);
    const asked = hive.workers.flatMap(({ requests }) => requests);
    expect(asked.length).toBe(1);
    expect(GenerateRequest.safeParse(asked[0]).success).toBe(true);
    expect(asked[0]!.sources.length).toBe(16);
  });

  it('makes a prompt wait for blocks that another request is computing, and then names their source', async () => {
    const [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
    const gate = held(a);
    const first = run(prompt(8, { worker: 'a' }));
    await hive.pass(10);
    expect(a.requests.length).toBe(1);
    // A busy worker: fetching its blocks elsewhere is cheaper than queueing there.
    Object.assign(a.over, { running: 500 });
    await hive.pass(10);
    const second = run(prompt(8));
    await hive.pass(100);
    expect(second.events).toEqual([]);
    expect(b.requests.length).toBe(0);
    a.take(keysOf(prompt(8)));
    gate.go();
    await hive.pass(200);
    expect(first.over).toBe(true);
    expect(startedBy(second)).toBe('b');
    expect(b.requests[0]!.sources).toEqual([{ worker: 'a', blocks: 8 }]);
  });

  describe('while a prompt waits for another', () => {
    let a: ScriptedWorker;
    let b: ScriptedWorker;
    let first: Run;
    let second: Run;

    beforeEach(async () => {
      [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
      held(a);
      first = run(prompt(8, { worker: 'a' }));
      await hive.pass(10);
      Object.assign(a.over, { running: 500 });
      await hive.pass(10);
      second = run(prompt(8));
      await hive.pass(400);
      expect(b.requests.length).toBe(0);
    });

    it('cancels it when its client disconnects', async () => {
      second.abort.abort();
      await hive.pass(1);
      expect(second.error).toBeInstanceOf(Cancelled);
      expect(b.requests.length).toBe(0);
    });

    it('continues when the other is cancelled', async () => {
      first.abort.abort();
      await hive.pass(100);
      expect(startedBy(second)).toBe('b');
    });

    it('continues when the worker of the other dies', async () => {
      await a.die();
      await hive.pass(3_000);
      expect(startedBy(second)).toBe('b');
    });

    it('continues when the other takes much longer than estimated', async () => {
      await hive.pass(30_000);
      expect(startedBy(second)).toBe('b');
      expect(first.over).toBe(false);
    });

    it('continues when another placement becomes cheaper, although the other has not ended', async () => {
      b.take(keysOf(prompt(8)));
      // A copy of a prompt that may crash its worker does not run on a second one sooner.
      await hive.pass(10_800);
      expect(startedBy(second)).toBe('b');
      expect(first.over).toBe(false);
    });
  });

  describe('a promise of blocks', () => {
    const request = prompt(3);
    const coverage = () => hive.holdings.coverage(keysOf(request));
    let a: ScriptedWorker;

    /** Runs the request up to its first token. */
    beforeEach(async () => {
      a = await hive.add('a', { rates: RATES });
      const gate = deferred();
      a.generate = async function* () {
        yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
        await gate.promise;
        yield { type: 'tokens', ids: [1] };
        await new Promise(() => {});
      };
      run(request);
      await hive.pass(400);
      expect(coverage().expectedBlocks).toBe(3);
      gate.resolve();
      await hive.clock.advance(0);
    });

    it('counts until shortly after the first token', async () => {
      await hive.clock.advance(190);
      expect(coverage().expectedBlocks).toBe(3);
      await hive.clock.advance(20);
      expect(coverage().expectedBlocks).toBe(0);
    });

    it('ends when the index knows the last of the blocks', async () => {
      const keys = keysOf(request);
      a.take(keys.slice(0, 2));
      await hive.clock.advance(10);
      expect(coverage()).toMatchObject({ heldBlocks: 2, expectedBlocks: 3 });
      a.take(keys.slice(2));
      await hive.clock.advance(10);
      expect(coverage()).toMatchObject({ heldBlocks: 3, expectedBlocks: 3 });
      const { incarnation } = a.says;
      const lost = { worker: 'a', incarnation, seq: a.seq + 1, added: new Uint8Array(), removed: packKeys(keys) };
      hive.holdings.applyChange(lost);
      expect(coverage().expectedBlocks).toBe(0);
    });
  });

  it('drops the promise and the load of a failed request', async () => {
    const a = await hive.add('a', { rates: RATES });
    a.generate = async function* () {
      yield* [] as never[];
      throw new Overloaded('full');
    };
    const its = run(prompt(3));
    await hive.pass(100);
    expect(its.error).toBeInstanceOf(Overloaded);
    expect(hive.holdings.coverage(keysOf(prompt(3))).expectedBlocks).toBe(0);
    const { tokens } = prompt(3);
    const asked = { tokens, blocks: hive.router.blocksOf(tokens, null), contextTokens: 300 };
    const [candidate] = hive.router.rank(asked, new Set());
    const cost = candidate!.costMs;
    await hive.pass(100);
    const again = hive.router.rank(asked, new Set());
    expect(again[0]!.costMs).toBe(cost);
    expect(cost).toBe(prompt(3).tokens.length);
  });

  describe('in a fleet whose workers have different contexts', () => {
    const context = (contextTokens: number) => ({
      capacity: { contextTokens, sequences: 8, waiting: 256 },
      rates: RATES,
    });
    /** A prompt that needs this context with its answer of ten tokens. */
    const needing = (contextTokens: number, over: Partial<FleetRequest> = {}) => {
      const tokens = Uint32Array.from({ length: contextTokens - 10 }, (_, i) => i % 1000);
      return { ...prompt(1, over), tokens };
    };

    it('sends a request only to workers that take its prompt and its answer', async () => {
      const [small, large] = [await hive.add('a', context(512)), await hive.add('b', context(4096))];
      small.take(keysOf(needing(513)));
      await hive.pass(10);
      for (let i = 0; i < 6; i++) run(needing(513));
      await hive.pass(100);
      expect([small.requests.length, large.requests.length]).toEqual([0, 6]);
      // Until the index would know that the blocks are there, their worker counts as a holder.
      await hive.pass(1_000);
      run(needing(512));
      await hive.pass(100);
      expect(small.requests.length).toBe(1);
    });

    it('refuses one that no worker takes, or not the named one, with the largest context', async () => {
      await hive.add('a', context(512));
      await hive.add('b', context(4096));
      await hive.pass(LISTEN_FOR_MEMBERS_MS);
      const [tooLong, elsewhere] = [run(needing(4097)), run(needing(513, { worker: 'a' }))];
      await hive.pass(100);
      expect(tooLong.error).toBeInstanceOf(InvalidRequest);
      expect((tooLong.error as Error).message).toContain('the workers of this fleet take at most 4096');
      expect(elsewhere.error).toBeInstanceOf(InvalidRequest);
      expect((elsewhere.error as Error).message).toContain("worker 'a' takes at most 512");
      expect(hive.router.offeredContextTokens).toBe(4096);
    });

    it('is Unavailable while the worker that takes it is gone, and refuses it a minute later', async () => {
      await hive.add('a', context(512));
      const large = await hive.add('b', context(4096));
      await large.die();
      await hive.pass(4_000);
      const soon = run(needing(513));
      await hive.pass(RESTART_WAIT_MS - 1_000);
      expect(soon.error).toBeNull();
      await hive.pass(2_000);
      expect(soon.error).toBeInstanceOf(Unavailable);
      expect((soon.error as Error).message).toContain('a context of 513 tokens');
      await hive.pass(61_000);
      const later = run(needing(513));
      await hive.pass(100);
      expect(later.error).toBeInstanceOf(InvalidRequest);
      expect(hive.router.offeredContextTokens).toBe(512);
    });

    it('gives an answer whose length is open to a smaller worker while no larger one is there', async () => {
      const [small, large] = [await hive.add('a', context(512)), await hive.add('b', context(4096))];
      const open = { stopping: { ...TEN_TOKENS, maxTokens: 4_000 }, leastAnswerTokens: 1 };
      run(prompt(1, open));
      await hive.pass(100);
      expect([small.requests.length, large.requests.length]).toEqual([0, 1]);
      await large.die();
      await hive.pass(4_000);
      run(prompt(2, open));
      await hive.pass(100);
      expect(small.requests.length).toBeGreaterThan(0);
      const tooLong = run({ ...needing(523), ...open });
      await hive.pass(RESTART_WAIT_MS + 1_000);
      expect(tooLong.error).toBeInstanceOf(Unavailable);
    });

    it('resumes a request only where its whole answer fits', async () => {
      const [a, b, small] = [
        await hive.add('a', context(4096)),
        await hive.add('b', context(4096)),
        await hive.add('c', context(512)),
      ];
      for (const worker of [a, b]) {
        worker.generate = async function* () {
          yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
          yield { type: 'tokens', ids: [7] };
          if (worker === (a.requests.length > 0 && b.requests.length > 0 ? worker : null)) {
            yield { type: 'end', reason: 'length', token: null };
            return;
          }
          throw new Unavailable('lost');
        };
      }
      const its = run(needing(513));
      await hive.pass(1_000);
      expect(its.events.at(-1)).toMatchObject({ type: 'end' });
      expect([a.requests.length, b.requests.length, small.requests.length]).toEqual([1, 1, 0]);
    });
  });

  it('leaves no equal worker out, for prompts that no worker holds', async () => {
    const workers = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES }), await hive.add('c')];
    for (let i = 0; i < 60; i++) {
      run({ ...prompt(0), tokens: Uint32Array.of(i, 2, 3) });
      await hive.clock.advance(20);
    }
    for (const { requests } of workers) expect(requests.length).toBeGreaterThan(8);
  });

  it('counts requests of other coordinators, and its own only once', async () => {
    const [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
    held(a);
    held(b);
    const tokens = Uint32Array.of(1, 2, 3);
    run({ ...prompt(0), tokens });
    await hive.clock.advance(20);
    const [mine, free] = a.requests.length > 0 ? [a, b] : [b, a];
    const costOf = (id: string) =>
      hive.router.rank({ tokens, blocks: [], contextTokens: 10 }, new Set()).find(({ worker }) => worker === id)!
        .costMs;
    const alone = costOf(mine.id);
    // The worker announces this coordinator's request: nothing new.
    mine.announce({ running: 1, queuedTokens: 3 });
    await hive.clock.advance(1);
    expect(costOf(mine.id)).toBe(alone);
    // Another coordinator's.
    free.announce({ running: 3, queuedTokens: 500 });
    await hive.clock.advance(1);
    expect(costOf(free.id)).toBeGreaterThan(costOf(mine.id) + 400);
    free.announce();
    await hive.clock.advance(1);
    expect(costOf(free.id)).toBeLessThan(alone);
  });

  it('resumes on another worker when one dies, with the tokens so far', async () => {
    const [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
    a.generate = async function* () {
      yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      yield { type: 'tokens', ids: [11, 12] };
      await new Promise(() => {});
    };
    b.generate = () => saying([13]);
    a.take(keysOf(prompt(1)));
    await hive.pass(10);
    const its = run(prompt(1));
    await hive.pass(100);
    expect(startedBy(its)).toBe('a');
    await a.die();
    await hive.pass(4_000);
    expect(its.over).toBe(true);
    expect(its.events.flatMap((event) => (event.type === 'tokens' ? event.ids : []))).toEqual([11, 12, 13]);
    expect([...unpackTokens(b.requests[0]!.tokens)].slice(-2)).toEqual([11, 12]);
    expect(b.requests[0]!.resumeTokens).toBe(2);
    expect(hive.resumed).toBe(1);
  });

  it('resumes with all tokens that came so far, though they fill a block more', async () => {
    const [a, b] = [await hive.add('a', { rates: RATES }), await hive.add('b', { rates: RATES })];
    const answer = Array.from({ length: BLOCK_TOKENS }, (_, i) => i);
    const dying = async function* () {
      yield { type: 'start' as const, cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      yield { type: 'tokens' as const, ids: answer };
      throw new Unavailable('gone');
    };
    a.generate = (request) => (request.resumeTokens > 0 ? saying([1]) : dying());
    b.generate = a.generate;
    const request = prompt(1);
    run({ ...request, stopping: { ...request.stopping, maxTokens: 2 * BLOCK_TOKENS } });
    await hive.pass(200);
    const resumed = [...a.requests, ...b.requests].find(({ resumeTokens }) => resumeTokens > 0)!;
    expect([...unpackTokens(resumed.tokens)]).toEqual([...request.tokens, ...answer]);
  });

  it('sends a request to the worker it names, and to no other while that one does not serve', async () => {
    const [a, b] = [await hive.add('a'), await hive.add('b')];
    a.take(keysOf(prompt(2)));
    await hive.pass(10);
    const its = run(prompt(2, { worker: 'b' }));
    await hive.pass(100);
    expect(startedBy(its)).toBe('b');
    const unknown = run(prompt(2, { worker: 'c' }));
    await b.die();
    await hive.pass(4_000);
    const dead = run(prompt(2, { worker: 'b' }));
    await hive.pass(100);
    for (const { error } of [unknown, dead]) expect(error).toBeInstanceOf(Unavailable);
    expect((dead.error as Error).message).toContain("worker 'b' is not serving; leave out x-shoal-worker, or name");
    expect(a.requests).toEqual([]);
  });

  it('continues a request elsewhere if the worker it names is lost', async () => {
    const [a, b] = [await hive.add('a'), await hive.add('b')];
    b.generate = async function* () {
      yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      yield { type: 'tokens', ids: [1] };
      throw new Unavailable('gone');
    };
    a.generate = () => saying([2]);
    const its = run(prompt(2, { worker: 'b' }));
    await hive.pass(4_000);
    expect([its.error, startedBy(its)]).toEqual([null, 'b']);
    expect(its.events.flatMap((event) => (event.type === 'tokens' ? event.ids : []))).toEqual([1, 2]);
    expect(a.requests.map(({ resumeTokens }) => resumeTokens)).toEqual([1]);
  });

  it('is Overloaded if the worker it names is full', async () => {
    const [a] = [await hive.add('a'), await hive.add('b')];
    a.generate = async function* () {
      yield* [] as never[];
      throw new Overloaded('full');
    };
    const its = run(prompt(2, { worker: 'a' }));
    await hive.pass(100);
    expect(its.error).toBeInstanceOf(Overloaded);
  });

  it('is Unavailable at once if no worker serves, and none is expected back', async () => {
    await hive.pass(LISTEN_FOR_MEMBERS_MS);
    const failed = async () => {
      const its = run(prompt(1));
      await hive.pass(1);
      return its.error;
    };
    expect(await failed()).toBeInstanceOf(Unavailable);
    const a = await hive.add('a', { state: 'draining' });
    expect(await failed()).toBeInstanceOf(Unavailable);
    a.bus.publish(hive.subjects.leave, encode({ id: 'a', incarnation: a.says.incarnation }));
    await a.die();
    expect(await failed()).toBeInstanceOf(Unavailable);
    const b = await hive.add('b');
    await b.die();
    await hive.pass(RESTART_EXPECTED_MS + 4_000);
    expect(await failed()).toBeInstanceOf(Unavailable);
  });

  it('waits for the workers that a coordinator has not heard yet when it starts', async () => {
    const its = run(prompt(1));
    await hive.pass(400);
    await hive.add('a');
    await hive.pass(100);
    expect(startedBy(its)).toBe('a');
  });

  it('lets a request wait if all workers turn out to be gone', async () => {
    for (const worker of [await hive.add('a'), await hive.add('b')]) await worker.die();
    await hive.pass(400);
    const its = run(prompt(1));
    await hive.pass(6_000);
    expect([its.over, its.events]).toEqual([false, []]);
    await hive.add('b', { incarnation: '0002', generation: 2 });
    await hive.pass(1_000);
    expect(startedBy(its)).toBe('b');
  });

  describe('after the only serving worker refused the request', () => {
    let a: ScriptedWorker;

    beforeEach(async () => {
      await hive.pass(LISTEN_FOR_MEMBERS_MS);
      a = await hive.add('a');
    });

    it.each([
      ['it drains', async function* () {}],
      ['a batch failed after some tokens', () => saying([7])],
    ] as const)('answers at once: %s', async (_, before) => {
      const refusal = new Unavailable('cannot go on');
      a.generate = async function* () {
        for await (const event of before()) if (event.type !== 'end') yield event;
        throw refusal;
      };
      const its = run(prompt(1));
      await hive.pass(100);
      expect(its.error).toEqual(refusal);
    });

    it('answers soon if its answer was lost, but it is heard', async () => {
      const { go } = held(a);
      const its = run(prompt(1));
      await hive.pass(100);
      hive.broker.sever('a', 'coordinator');
      go();
      await hive.pass(100);
      hive.broker.heal();
      const lost = () => a.requests.length === 1 && !its.over;
      await hive.pass(CALL_HEARTBEAT_MS);
      expect(lost()).toBe(true);
      await hive.pass(1_000);
      expect(its.error).toBeInstanceOf(Unheard);
    });

    it('waits for another worker that restarts', async () => {
      await (await hive.add('b')).die();
      await hive.pass(4_000);
      a.generate = async function* () {
        yield* [] as never[];
        throw new Unavailable('draining');
      };
      const its = run(prompt(1));
      await hive.pass(5_000);
      expect(its.over).toBe(false);
      await hive.add('b', { incarnation: '0002', generation: 2 });
      await hive.pass(1_000);
      expect(startedBy(its)).toBe('b');
    });
  });

  it('goes on at the only worker after that was taken for dead, and is back in the same process', async () => {
    await hive.pass(LISTEN_FOR_MEMBERS_MS);
    const a = await hive.add('a');
    a.generate = async function* () {
      yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      yield { type: 'tokens', ids: [11, 12] };
      await new Promise(() => {});
    };
    const its = run(prompt(1));
    await hive.pass(100);
    expect(startedBy(its)).toBe('a');
    // It is paused: a coordinator that hears none of its workers doubts itself at first.
    await hive.clock.advance(12_000);
    expect(hive.roster.members().map(({ state }) => state)).toEqual(['dead']);
    a.generate = () => saying([13]);
    Object.assign(a.over, { refutation: 1 });
    await hive.pass(2_000);
    expect([its.error, its.over]).toEqual([null, true]);
    expect(its.events.flatMap((event) => (event.type === 'tokens' ? event.ids : []))).toEqual([11, 12, 13]);
  });

  it('tries the only worker again over NATS if its answer was lost with the connection', async () => {
    await hive.pass(LISTEN_FOR_MEMBERS_MS);
    const a = await hive.add('a');
    hive.link(a);
    const { go } = held(a);
    const its = run(prompt(1));
    await hive.pass(100);
    hive.cut(a);
    hive.broker.sever('a', 'coordinator');
    go();
    await hive.pass(100);
    hive.broker.heal();
    await hive.pass(CALL_HEARTBEAT_MS + 2_000);
    expect([its.error, a.requests.length, startedBy(its)]).toEqual([null, 2, 'a']);
  });

  describe('while all workers restart', () => {
    let waiting: Run;

    beforeEach(async () => {
      const workers = [await hive.add('a'), await hive.add('b')];
      for (const worker of workers) await worker.die();
      // A coordinator that hears none of several workers doubts itself at first.
      await hive.pass(12_000);
      expect(hive.roster.members().map(({ state }) => state)).toEqual(['dead', 'dead']);
      waiting = run(prompt(1));
      await hive.pass(5_000);
      expect(waiting.over).toBe(false);
    });

    it('lets a request wait for the first worker that returns', async () => {
      const back = { incarnation: '0002', generation: 2 };
      const b = await hive.add('b', { ...back, state: 'starting' });
      await hive.pass(400);
      expect(waiting.over).toBe(false);
      Object.assign(b.over, { state: 'serving' });
      await hive.pass(400);
      expect(startedBy(waiting)).toBe('b');
    });

    it('fails it after a while', async () => {
      await hive.pass(RESTART_WAIT_MS - 5_000);
      expect(waiting.error).toBeInstanceOf(Unavailable);
    });

    it('cancels it when its client disconnects', async () => {
      waiting.abort.abort();
      await hive.pass(1);
      expect(waiting.error).toBeInstanceOf(Cancelled);
    });

    it('lets a limited number of requests wait', async () => {
      const others = Array.from({ length: WAITING_REQUESTS }, () => run(prompt(1)));
      await hive.clock.advance(1);
      expect(others.filter(({ over }) => over).map(({ error }) => error)).toEqual([
        new Unavailable(
          `no worker is serving, and ${WAITING_REQUESTS} requests wait for one already; retry when /health/ready returns 200`,
        ),
      ]);
    });
  });

  it('cancels the work on the worker when a client disconnects', async () => {
    const a = await hive.add('a');
    const aborted = deferred();
    a.generate = async function* (_, signal) {
      yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      signal.addEventListener('abort', () => aborted.resolve());
      await new Promise(() => {});
    };
    const its = run(prompt(1));
    await hive.pass(10);
    its.abort.abort();
    await hive.pass(10);
    await aborted.promise;
    expect(its.error).toBeInstanceOf(Cancelled);
  });
});
