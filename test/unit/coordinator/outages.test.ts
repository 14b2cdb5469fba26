import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FleetEvent, FleetRequest } from '../../../coordinator/fleet.js';
import { BUS_WAIT_MS, Outages } from '../../../coordinator/outages.js';
import { ActorSystem, CALL_HEARTBEAT_MS } from '../../../src/actors/system.js';
import { MemoryBroker } from '../../../src/bus/memory-bus.js';
import { SimulatedClock, settled } from '../../../src/clock.js';
import { Cancelled, Unavailable } from '../../../src/errors.js';
import { BUS_GRACE_MS } from '../../../src/limits.js';
import { unpackTokens } from '../../../src/protocol/generate.js';
import { SeededRandom } from '../../../src/random.js';
import { deferred } from '../actors/world.js';
import { GREEDY, TEN_TOKENS } from '../engine/support/rig.js';
import { Hive, type ScriptedWorker, saying } from './support/hive.js';

const OUTAGE_MS = 10_000;
/** Time between the reconnections of the first and the last process. */
const APART_MS = BUS_GRACE_MS - CALL_HEARTBEAT_MS;

describe('an outage of the bus', () => {
  const clock = new SimulatedClock();
  const bus = new MemoryBroker().connect('c');
  const node = { id: 'c', incarnation: '1' };
  const actors = new ActorSystem({ bus, clock, random: new SeededRandom(1), node, namespace: 'test' });
  actors.start();
  const outages = new Outages(bus, actors, clock);
  const abort = new AbortController();
  const timers = () => getEventListeners(abort.signal, 'abort').length;

  afterEach(() => bus.restore());
  afterAll(() => actors.stop());

  it('is counted, and its end wakes all requests that wait for a route', async () => {
    bus.lose();
    expect(outages.count).toBe(1);
    let waiting = 3;
    for (let i = 0; i < 3; i++) void outages.waitForRoute(BUS_WAIT_MS, abort.signal).then(() => waiting--);
    await clock.advance(BUS_WAIT_MS - 1);
    expect(waiting).toBe(3);
    bus.restore();
    await settled();
    expect([waiting, outages.count, timers()]).toEqual([0, 1, 0]);
  });

  it('makes requests wait for a limited time', async () => {
    bus.lose();
    const outcome = expect(outages.waitForRoute(BUS_WAIT_MS, abort.signal)).rejects.toThrow(Unavailable);
    await clock.advance(BUS_WAIT_MS);
    await outcome;
    expect(timers()).toBe(0);
    await expect(outages.waitForRoute(0, abort.signal)).rejects.toThrow(Unavailable);
  });

  it('does not keep a cancelled request waiting', async () => {
    bus.lose();
    const off = new AbortController();
    const wait = outages.waitForRoute(BUS_WAIT_MS, off.signal);
    off.abort();
    await expect(wait).rejects.toBeInstanceOf(Cancelled);
  });
});

describe('an outage of the bus with requests', () => {
  let hive: Hive;
  let a: ScriptedWorker;
  let b: ScriptedWorker;

  beforeEach(async () => {
    hive = new Hive();
    [a, b] = [await hive.add('a'), await hive.add('b')];
  });
  afterEach(() => hive.close());

  interface Run {
    readonly events: FleetEvent[];
    readonly abort: AbortController;
    error: unknown;
  }
  function run(over: Partial<FleetRequest> = {}): Run {
    const request: FleetRequest = {
      requestId: 'r',
      tokens: Uint32Array.of(1, 2),
      salt: null,
      sampling: GREEDY,
      stopping: TEN_TOKENS,
      worker: null,
      ...over,
    };
    const its: Run = { events: [], abort: new AbortController(), error: null };
    void (async () => {
      try {
        for await (const event of hive.router.generate(request, its.abort.signal)) its.events.push(event);
      } catch (error) {
        its.error = error;
      }
    })();
    return its;
  }
  function typesOf({ events }: Run): string[] {
    return events.map(({ type }) => type);
  }
  function idsOf({ events }: Run): number[] {
    return events.flatMap((event) => (event.type === 'tokens' ? event.ids : []));
  }

  function lose(): void {
    for (const { bus } of [hive, a, b]) bus.lose();
  }
  const ORDERS = {
    'the coordinator first': () => [hive.bus, a.bus, b.bus],
    'the coordinator last': () => [a.bus, b.bus, hive.bus],
    'the coordinator between': () => [b.bus, hive.bus, a.bus],
  };
  /** Reconnects the processes one after another. */
  async function restore(order: keyof typeof ORDERS): Promise<void> {
    for (const bus of ORDERS[order]()) {
      bus.restore();
      await hive.pass(APART_MS / 2);
    }
    await hive.pass(BUS_GRACE_MS);
  }
  const orders = Object.keys(ORDERS) as (keyof typeof ORDERS)[];

  /** Workers send their first token at once, the others after `goOn`. */
  function halting(): { goOn(): void } {
    const gate = deferred();
    const generate: ScriptedWorker['generate'] = async function* (request) {
      yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
      for (let id = request.resumeTokens; id < 10; id++) {
        if (id === 1) await gate.promise;
        yield { type: 'tokens', ids: [id] };
      }
      yield { type: 'end', reason: 'length', token: null };
    };
    for (const worker of [a, b]) worker.generate = generate;
    return { goOn: gate.resolve };
  }
  const TEN = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

  it('lets a request go on at a worker with a direct link, if NATS alone leads to its own', async () => {
    const { goOn } = halting();
    const its = run();
    await hive.pass(100);
    const [own, other] = a.requests.length > 0 ? [a, b] : [b, a];
    hive.link(other);
    lose();
    await hive.pass(2_500);
    expect(other.requests).toEqual([]);
    await hive.pass(2_500);
    goOn();
    await hive.pass(100);
    expect([its.error, idsOf(its), typesOf(its).at(-1)]).toEqual([null, TEN, 'end']);
    expect([own.requests.length, other.requests.length]).toEqual([1, 1]);
    await restore('the coordinator first');
    expect(idsOf(its)).toEqual(TEN);
  });

  it('lets one that names its worker wait for NATS', async () => {
    const { goOn } = halting();
    const its = run({ worker: 'a' });
    await hive.pass(100);
    hive.link(b);
    lose();
    await hive.pass(OUTAGE_MS);
    await restore('the coordinator first');
    goOn();
    await hive.pass(5_000);
    expect([its.error, idsOf(its), b.requests]).toEqual([null, TEN, []]);
  });

  it.each(orders)('serves a request that arrives meanwhile, with %s to reconnect', async (order) => {
    lose();
    await hive.pass(2_000);
    const its = [run(), run({ worker: 'a' }), run({ worker: 'b' })];
    await hive.pass(OUTAGE_MS - 2_000);
    expect(its.map(({ error }) => error)).toEqual([null, null, null]);
    await restore(order);
    for (const one of its) expect(typesOf(one)).toEqual(['start', 'tokens', 'end']);
  });

  it.each(orders)(
    'continues a running request without repeating or skipping a token, with %s to reconnect',
    async (order) => {
      const { goOn } = halting();
      const its = [run({ worker: 'a' }), run({ worker: 'b' })];
      await hive.pass(100);
      lose();
      await hive.pass(OUTAGE_MS / 2);
      goOn();
      await hive.pass(OUTAGE_MS / 2);
      await restore(order);
      for (const one of its) expect([idsOf(one), one.events.at(-1)?.type]).toEqual([TEN, 'end']);
      expect(hive.resumed).toBe(0);
    },
  );

  it('resumes a request whose tokens were lost, on the same worker if necessary', async () => {
    const { goOn } = halting();
    const its = run({ worker: 'a' });
    await hive.pass(100);
    // The server takes the tokens and dies before it delivers them.
    hive.broker.sever('a', 'coordinator');
    goOn();
    await settled();
    hive.broker.heal();
    lose();
    await hive.pass(OUTAGE_MS);
    await restore('the coordinator first');
    expect([its.error, idsOf(its), its.events.at(-1)?.type]).toEqual([null, TEN, 'end']);
    expect(a.requests.map(({ resumeTokens }) => resumeTokens)).toEqual([0, 1]);
    expect([...unpackTokens(a.requests[1]!.tokens)]).toEqual([1, 2, 0]);
  });

  it('uses another worker if the first is gone after the outage', async () => {
    a.generate = () => saying([1]);
    b.generate = () => saying([2]);
    Object.assign(b.over, { running: 500 });
    await hive.pass(400);
    lose();
    await hive.pass(2_000);
    const its = run();
    await a.die();
    await restore('the coordinator last');
    await hive.pass(2 * CALL_HEARTBEAT_MS);
    expect([idsOf(its), its.error]).toEqual([[2], null]);
  });

  it('tells a client to retry after the limit, without internal names', async () => {
    lose();
    const its = run();
    await hive.pass(BUS_WAIT_MS - 400);
    expect(its.error).toBeNull();
    await hive.pass(800);
    expect(its.error).toBeInstanceOf(Unavailable);
    expect((its.error as Error).message).toMatch(/cannot reach any worker, directly or over NATS; retry/);
    expect((its.error as Error).message).not.toMatch(/hive|\.node\.|0001/);
    hive.bus.restore();
  });

  it('serves a new request at once on a worker with a direct link', async () => {
    hive.link(b);
    lose();
    const its = [run(), run(), run({ worker: 'b' })];
    await hive.pass(400);
    for (const one of its) expect(typesOf(one)).toEqual(['start', 'tokens', 'end']);
    expect([a.requests.length, b.requests.length]).toEqual([0, 3]);
  });

  it('keeps a request running on a direct link', async () => {
    hive.link(a);
    const { goOn } = halting();
    const its = run({ worker: 'a' });
    await hive.pass(100);
    lose();
    goOn();
    await hive.pass(400);
    expect([idsOf(its), its.events.at(-1)?.type]).toEqual([TEN, 'end']);
  });

  it('lets a request wait for a link or the bus, whichever comes first', async () => {
    lose();
    const its = run();
    await hive.pass(2_000);
    expect(its.events).toEqual([]);
    hive.link(b);
    await hive.pass(400);
    expect(typesOf(its)).toEqual(['start', 'tokens', 'end']);
  });

  it('moves a request whose direct link closes to another linked worker', async () => {
    hive.link(a);
    hive.link(b);
    const { goOn } = halting();
    const its = run({ worker: null });
    await hive.pass(100);
    lose();
    const [first, second] = a.requests.length > 0 ? [a, b] : [b, a];
    hive.cut(first);
    goOn();
    await hive.pass(3_000);
    expect([idsOf(its), its.error, its.events.at(-1)?.type]).toEqual([TEN, null, 'end']);
    expect(second.requests.length).toBeLessThanOrEqual(1);
  });

  it('resumes a request whose only worker lost its connection, with tokens on the way, once it is connected again', async () => {
    await hive.close();
    hive = new Hive();
    a = await hive.add('a');
    b = a;
    hive.link(a);
    const { goOn } = halting();
    const its = run();
    await hive.pass(100);
    hive.hub.fault = (from) => (from.node === 'a' ? 0 : 1);
    goOn();
    await settled();
    hive.cut(a);
    hive.hub.fault = null;
    await hive.pass(800);
    hive.link(a);
    await hive.pass(3_000);
    expect([idsOf(its), its.error, its.events.at(-1)?.type]).toEqual([TEN, null, 'end']);
    expect(a.requests.map(({ resumeTokens }) => resumeTokens)).toEqual([0, 1]);
  });

  it('ends the wait of a cancelled request, and sends it to no worker', async () => {
    lose();
    const its = run();
    await hive.pass(400);
    its.abort.abort();
    await settled();
    expect(its.error).toBeInstanceOf(Cancelled);
    await restore('the coordinator last');
    expect([...a.requests, ...b.requests]).toEqual([]);
  });
});
