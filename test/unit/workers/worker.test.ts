import { readdir } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CoordinatorParts, makeCoordinatorParts, startCoordinatorParts } from '../../../coordinator/compose.js';
import { NO_TRAIL } from '../../../coordinator/trail/trail.js';
import type { MemoryBus } from '../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../src/bus/memory-key-value.js';
import { SystemClock } from '../../../src/clock.js';
import type { CoordinatorConfig } from '../../../src/config/coordinator-config.js';
import type { ModelGraph } from '../../../src/engine/model-graph.js';
import { RunFailed, Unavailable } from '../../../src/errors.js';
import { Lifecycle } from '../../../src/lifecycle.js';
import { ENGINE_FAILURES } from '../../../src/limits.js';
import { SILENT_LOG } from '../../../src/log.js';
import type { ModelFolder } from '../../../src/model/folder.js';
import { OrtError } from '../../../src/ort/ort-error.js';
import { machineSurroundings } from '../../../src/surroundings.js';
import { encode } from '../../../src/wire/msgpack.js';
import { FINGERPRINT } from '../../support/announcement.js';
import { PLAIN_HTTP } from '../../support/plain-http.js';
import { type Answer, ask, keysOf, noise, tinyModel } from '../engine/support/rig.js';
import { until } from '../peer/support/until.js';
import { MemoryFiles } from './support/block-files.js';
import { BLOCK, Fleet, HastyClock, NAMESPACE, SECRET, subjects } from './support/stations.js';

let folder: ModelFolder;
let remove: () => Promise<void>;
beforeAll(async () => {
  ({ folder, remove } = await tinyModel({}));
});
afterAll(() => remove());

/** The parts of a coordinator below HTTP. */
async function coordinator(
  bus: MemoryBus,
  graph: ModelGraph,
): Promise<{ readonly parts: CoordinatorParts; stop(): Promise<void> }> {
  const config: CoordinatorConfig = {
    ...{
      id: 'coordinator',
      namespace: NAMESPACE,
      secret: SECRET,
      peerTls: null,
      replicas: 2,
      apiKeys: [],
      metricsKeys: [],
    },
    nats: { url: 'nats://nowhere', user: null, password: null },
    ...{
      host: '127.0.0.1',
      port: 0,
      modelDir: '/nowhere',
      adapterDir: '/nowhere/adapters',
      graph: { dtype: 'auto', file: null },
      parsers: { toolCalls: 'auto', reasoning: 'auto' },
      servedModelName: 'tiny',
      modelAliases: [],
      http: PLAIN_HTTP,
      contextTokens: graph.contextTokens,
    },
    ...{
      allowRouting: false,
      allowChaos: false,
      keysFile: null,
      jwt: null,
      auditLog: null,
      objectBytes: 0,
      responseTtlMs: 0,
      objectDiskBytes: 0,
      redis: null,
      trace: null,
      logLevel: 'silent',
    },
  };
  const bucket = new MemoryKeyValue();
  const parts = makeCoordinatorParts({
    trail: NO_TRAIL,
    ...{ config, incarnation: '0001', fingerprint: FINGERPRINT, layout: graph.layout, bus, clock: new SystemClock() },
    dependence: graph.dependence,
    ...{ surroundings: machineSurroundings(), log: SILENT_LOG, onResumed: () => {}, onCall: () => {} },
    storeFault: () => null,
    ...{ openBucket: async () => bucket, openRetentions: async () => bucket },
    ...{ onQuarantined: () => {}, onPoisonRefused: () => {} },
  });
  const life = new Lifecycle();
  await startCoordinatorParts(life, parts, { clock: new SystemClock(), log: SILENT_LOG });
  return { parts, stop: () => life.stop() };
}

describe('a worker', () => {
  let fleet: Fleet;
  afterEach(() => fleet.close());

  const vocab = () => 256;
  const tokens = (blocks: number, seed = 1) => noise(blocks * BLOCK + 7, vocab(), seed);

  it('ends a request whose run fails, and exits when every run fails', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const { session } = a.graph;
    const long = ask(tokens(2), { stopping: { maxTokens: 30 } });
    const alone = await fleet.ask(a, long);
    const run = vi.spyOn(session, 'run');
    let steps = 0;
    const second = new Promise<Answer | Error>((resolve) => {
      run.mockImplementation((...args) => {
        // In the middle of the first request's decoding another one comes, whose prefill fails.
        if (++steps === 3) fleet.ask(a, ask(tokens(3, 2))).then(resolve, resolve);
        const [, options] = args;
        if (steps > 3 && options !== undefined)
          return Promise.reject(new OrtError('running a graph', 'no such device', 1));
        return Reflect.apply(original, session, args);
      });
    });
    const original = Object.getPrototypeOf(session).run as typeof session.run;
    const first = fleet.ask(a, long);
    expect((await first).ids).toEqual(alone.ids);
    const failure = await second;
    expect(failure).toBeInstanceOf(RunFailed);
    expect((failure as Error).message).toContain('no such device');
    expect(a.over).toEqual([]);
    for (let i = 0; i < ENGINE_FAILURES; i++)
      await expect(fleet.ask(a, ask(tokens(3, 2 + i)))).rejects.toThrow(RunFailed);
    expect(a.over).toEqual([expect.stringContaining('no such device')]);
  });

  it('joins, answers, keeps the blocks that it computed, and leaves cleanly', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const request = ask(tokens(3));
    const first = await fleet.ask(a, request);
    expect(first.cached).toEqual({ local: 0, remote: 0, computed: tokens(3).length });
    const second = await fleet.ask(a, request);
    expect(second.cached).toEqual({ local: 3 * BLOCK, remote: 0, computed: 7 });
    expect(second.ids).toEqual(first.ids);
    await a.stop();
    expect(fleet.left).toEqual(['a']);
    expect(a.over).toEqual([]);
  });

  it('fetches blocks that a peer has computed, and gives the same answer', async () => {
    fleet = await Fleet.open(folder);
    const [a, b] = [await fleet.add('a', { replicas: 1 }), await fleet.add('b', { replicas: 1 })];
    await fleet.joined();
    const request = ask(tokens(4));
    const first = await fleet.ask(a, request);
    await fleet.holds(a, keysOf(request));
    const second = await fleet.ask(b, { ...request, sources: [{ worker: 'a', blocks: 4 }] });
    expect(second.ids).toEqual(first.ids);
    expect(second.cached).toEqual({ local: 0, remote: 4 * BLOCK, computed: 7 });
  });

  it('leaves nothing behind if a port that it needs is taken', async () => {
    fleet = await Fleet.open(folder);
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    await expect(fleet.add('a', { metrics: { host: '127.0.0.1', port } })).rejects.toThrow('EADDRINUSE');
    taken.close();
    const [a] = fleet.stations;
    await a!.stop();
    // Nothing listens for its peers, and nothing answers or announces itself in its name.
    expect(await readdir(fleet.sockets)).toEqual([]);
    expect(fleet.left).toEqual(['a']);
    await expect(fleet.ask(a!, ask(tokens(1)))).rejects.toThrow(Unavailable);
  });

  it('keeps no block with the cache off', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a', { cache: false });
    await fleet.joined();
    const request = ask(tokens(2));
    const [first, second] = [await fleet.ask(a, request), await fleet.ask(a, request)];
    expect(second.cached).toEqual({ local: 0, remote: 0, computed: tokens(2).length });
    expect(second.ids).toEqual(first.ids);
    expect(await fleet.keys(a)).toEqual(new Set());
  });

  it('forgets its blocks when told to', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const request = ask(tokens(2));
    await fleet.ask(a, request);
    await fleet.holds(a, keysOf(request));
    expect(await fleet.order(a, 'reset')).toEqual({ dropped: 2 });
    expect(await fleet.keys(a)).toEqual(new Set());
    expect((await fleet.ask(a, request)).cached.local).toBe(0);
  });

  it('reports blocks in host memory, gives them to peers, and promotes them again', async () => {
    fleet = await Fleet.open(folder);
    const options = { replicas: 1, blocks: 4, hostBlocks: 8 };
    const [a, b] = [await fleet.add('a', options), await fleet.add('b', options)];
    await fleet.joined();
    const [one, other] = [ask(tokens(3, 1)), ask(tokens(3, 2))];
    const first = await fleet.ask(a, one);
    await fleet.ask(a, other);
    await fleet.holds(a, [...keysOf(one), ...keysOf(other)]);
    await until(() => (fleet.said(a)?.blocks ?? 0) >= 6);
    const { bytes, budget, blockBytes: size } = fleet.said(a)!;
    expect(budget).toEqual({ device: 4 * size, host: 8 * size });
    expect(bytes.device).toBeLessThanOrEqual(budget.device);
    expect(bytes.host).toBeGreaterThan(0);
    const fetched = await fleet.ask(b, { ...one, sources: [{ worker: 'a', blocks: 3 }] });
    expect([fetched.ids, fetched.cached.remote]).toEqual([first.ids, 3 * BLOCK]);
    const again = await fleet.ask(a, one);
    expect([again.ids, again.cached.local]).toEqual([first.ids, 3 * BLOCK]);
  });

  it('finds its blocks on disk after a restart, and none after a reset', async () => {
    fleet = await Fleet.open(folder);
    const files = new MemoryFiles();
    const before = await fleet.add('a', { files });
    await fleet.joined();
    const request = ask(tokens(3));
    const first = await fleet.ask(before, request);
    await before.stop();
    expect(files.files.size).toBe(3);
    const after = await fleet.add('a', { files, incarnation: '0002' });
    expect(await fleet.keys(after)).toEqual(new Set(keysOf(request)));
    const second = await fleet.ask(after, request);
    expect([second.ids, second.cached.local]).toEqual([first.ids, 3 * BLOCK]);
    expect(await fleet.order(after, 'reset')).toEqual({ dropped: 3 });
    expect(files.files.size).toBe(0);
  });

  it('keeps working while its bus is lost, and its answers arrive afterwards', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const reference = await fleet.ask(a, ask(tokens(3, 5), { stopping: { maxTokens: 70 } }));
    await fleet.order(a, 'reset');
    const answer = fleet.ask(a, ask(tokens(3, 5), { stopping: { maxTokens: 70 } }));
    await until(() => a.device.memory().blocks > 0);
    // Blocks are told of, load is announced and tokens are sent, all in vain.
    const inVain = new Set<string>();
    const { publish } = a.bus;
    a.bus.publish = (subject) => {
      inVain.add(subject);
      throw new Unavailable('the bus is lost');
    };
    await until(() => a.device.memory().blocks >= 4);
    await until(() => inVain.has(subjects.announce) && inVain.has(subjects.holdings('a')) && inVain.size > 2);
    a.bus.lose();
    a.bus.publish = publish;
    a.bus.restore();
    expect((await answer).ids).toEqual(reference.ids);
  });

  it('is known to a coordinator that alone lost the bus before it came', async () => {
    fleet = await Fleet.open(folder);
    const [a, b] = [await fleet.add('a'), await fleet.add('b')];
    await fleet.joined();
    const bus = fleet.broker.connect('coordinator');
    const { parts, stop } = await coordinator(bus, a.graph);
    try {
      const serving = () => parts.roster.members().filter(({ state }) => state === 'serving');
      await until(() => serving().length === 2 && parts.actors.linkedNodes().length === 2);
      bus.lose();
      await fleet.add('c');
      await until(() => serving().length === 3 && parts.actors.linkedNodes().length === 3);
      await b.stop();
      await until(() => serving().length === 2);
    } finally {
      await stop();
    }
  });

  it.each(['there', 'lost'])(
    'hands its blocks on before it goes, though nothing else keeps it, the bus being %s',
    async (bus) => {
      fleet = await Fleet.open(folder);
      const [a, b] = [await fleet.add('a', { replicas: 1 }), await fleet.add('b', { replicas: 1 })];
      await fleet.joined();
      const requests = Array.from({ length: 6 }, (_, seed) => ask(tokens(1, seed + 1)));
      for (const request of requests) await fleet.ask(a, request);
      const keys = requests.flatMap((request) => keysOf(request));
      await fleet.holds(a, keys);
      if (bus === 'lost') a.bus.lose();
      await a.stop();
      await fleet.holds(b, keys);
      // Else the other waits to hand them back.
      fleet.bus.publish(subjects.leave, encode({ id: 'a', incarnation: '0001' }));
    },
  );

  it('takes no new requests while it drains', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    await fleet.order(a, 'drain');
    await expect(fleet.ask(a, ask(tokens(1)))).rejects.toBeInstanceOf(Unavailable);
  });

  it('drains by order: it announces it, and finishes its requests', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const answer = fleet.ask(a, ask(tokens(2), { stopping: { maxTokens: 30 } }));
    await until(() => a.device.memory().blocks > 0);
    await fleet.order(a, 'drain');
    await until(() => fleet.said(a)?.state === 'draining');
    expect((await answer).ids.length).toBe(30);
  });

  it('serves again by order after it drained, and not while it stops', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    await fleet.order(a, 'drain');
    await fleet.order(a, 'undrain');
    await until(() => fleet.said(a)?.state === 'serving');
    expect((await fleet.ask(a, ask(tokens(1)))).ids.length).toBeGreaterThan(0);
    const running = fleet.ask(a, ask(tokens(2), { stopping: { maxTokens: 30 } }));
    running.catch(() => {});
    await until(() => a.device.memory().blocks > 0);
    const stopped = a.stop();
    await expect(fleet.order(a, 'undrain')).rejects.toThrow('cannot undrain worker a: it is stopping');
    await stopped;
  });

  it('obeys no order to have a fault unless it may', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await expect(fleet.disturb(a, 'cut-off')).rejects.toThrow('cannot disturb worker a: start it with --allow-chaos');
  });

  it('keeps running with its blocks when members declare it dead, and refutes that', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const request = ask(tokens(2));
    const first = await fleet.ask(a, request);
    await fleet.holds(a, keysOf(request));
    const latest = { generation: 0, incarnation: '0001', refutation: 0 };
    for (let i = 0; i < 3; i++) fleet.bus.publish(subjects.refusal, encode({ id: 'a', incarnation: '0001', latest }));
    await until(() => fleet.said(a)?.refutation === 1);
    expect(a.over).toEqual([]);
    const again = await fleet.ask(a, request);
    expect([again.ids, again.cached.local]).toEqual([first.ids, 2 * BLOCK]);
  });

  it('is a home again once it has refuted that it left', async () => {
    fleet = await Fleet.open(folder);
    const [a, b] = [await fleet.add('a'), await fleet.add('b')];
    await fleet.joined();
    const [one, other] = [ask(tokens(2)), ask(tokens(2, 2))];
    await fleet.ask(a, one);
    await fleet.holds(b, keysOf(one));
    fleet.bus.publish(subjects.leave, encode({ id: 'b', incarnation: '0001' }));
    await until(() => fleet.said(b)?.refutation === 1);
    expect(b.over).toEqual([]);
    await fleet.ask(a, other);
    await fleet.holds(b, [...keysOf(one), ...keysOf(other)]);
    // Blocks that a peer computed count as remote at their first use.
    expect((await fleet.ask(b, one)).cached.remote).toBe(2 * BLOCK);
  });

  it('exits once when it is fenced off, and cuts off requests without a client', async () => {
    fleet = await Fleet.open(folder);
    const a = await fleet.add('a');
    await fleet.joined();
    const cut = fleet.ask(a, ask(tokens(1), { stopping: { maxTokens: 2_000 } }));
    cut.catch(() => {});
    await until(() => a.device.memory().blocks > 0);
    const later = { ...fleet.said(a)!, generation: 1, incarnation: '0000' };
    for (let i = 0; i < 3; i++) fleet.bus.publish(subjects.announce, encode(later));
    await until(() => a.over.length > 0);
    expect(a.over[0]).toContain('another worker has taken over its ID');
    await a.stop();
    expect(a.over.length).toBe(1);
    await expect(cut).rejects.toBeInstanceOf(Unavailable);
  });

  it('exits when another process takes its name, and leaves that one alone', async () => {
    fleet = await Fleet.open(folder);
    const [first, second] = [await fleet.add('a'), await fleet.add('a', { incarnation: '0002' })];
    await until(() => first.over.length > 0);
    expect(first.over[0]).toContain('another worker has taken over its ID');
    await first.stop();
    expect(second.over).toEqual([]);
    expect((await fleet.ask(second, ask(tokens(1)))).ids.length).toBe(10);
  });

  it('ends at its start where a newer one has its name', async () => {
    fleet = await Fleet.open(folder);
    const newer = await fleet.add('a', { incarnation: '0002' });
    await fleet.joined();
    const older = await fleet.add('a', { incarnation: '0001' });
    await until(() => older.over.length > 0);
    expect(older.over.length).toBe(1);
    expect(newer.over).toEqual([]);
  });

  it('gets lost blocks back from the other home, though no worker owes them', async () => {
    fleet = await Fleet.open(folder);
    const clock = new HastyClock();
    const [a, b] = [await fleet.add('a', { clock }), await fleet.add('b', { clock })];
    await fleet.joined();
    const request = ask(tokens(2));
    await fleet.ask(a, request);
    await fleet.holds(b, keysOf(request));
    await fleet.order(b, 'reset');
    await fleet.holds(b, keysOf(request));
  });

  it('comes back under a new incarnation, and is given its share of blocks', async () => {
    fleet = await Fleet.open(folder);
    const [a, b] = [await fleet.add('a'), await fleet.add('b')];
    await fleet.joined();
    const request = ask(tokens(2));
    await fleet.ask(a, request);
    await fleet.holds(b, keysOf(request));
    await b.stop();
    fleet.stations.pop();
    const again = await fleet.add('b', { incarnation: '0002' });
    await fleet.holds(again, keysOf(request));
    const answer = await fleet.ask(again, request);
    expect(answer.cached.remote).toBe(2 * BLOCK);
  });
});
