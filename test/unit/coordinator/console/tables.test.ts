import { describe, expect, it, onTestFinished } from 'vitest';
import { RuntimeSurvey } from '../../../../coordinator/console/runtime-survey.js';
import { SLOW_REQUESTS, SlowRequests } from '../../../../coordinator/console/slow-requests.js';
import { COUNTED_TENANTS, TenantCounts } from '../../../../coordinator/console/tenant-counts.js';
import { LiveRuntimeView } from '../../../../coordinator/runtime/runtime-view.js';
import { ActorSystem } from '../../../../src/actors/system.js';
import { MemoryBroker } from '../../../../src/bus/memory-bus.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { RequestStep } from '../../../../src/console/feed-messages.js';
import { runtimeSubjects } from '../../../../src/fleet/subjects.js';
import { Lifecycle } from '../../../../src/lifecycle.js';
import { SeededRandom } from '../../../../src/random.js';
import { HOST_ACTOR, HostProtocol, type InstanceEntry } from '../../../../src/runtime/messages.js';
import { encode } from '../../../../src/wire/msgpack.js';

const steps = (id: number, at: number, firstMs: number): RequestStep[] => [
  { step: 'arrived', id, at, tokens: 9 },
  { step: 'first', id, at: at + firstMs },
  { step: 'ended', id, at: at + firstMs + 1, tokens: 1, outcome: 'done' },
];
const all = () => true;

describe('the slowest requests', () => {
  it('are kept, the slowest first, in a fixed number', () => {
    const slow = new SlowRequests();
    for (let i = 1; i <= SLOW_REQUESTS + 40; i++) slow.offer(null, steps(i, 0, i % 2 === 0 ? i : 1_000 - i));
    const kept = slow.list(2_000, all);
    expect(kept).toHaveLength(SLOW_REQUESTS);
    expect([kept[0]![0]!.id, kept[1]![0]!.id]).toEqual([1, 3]);
    const times = kept.map(([arrived, first]) => first!.at - arrived!.at);
    expect(times).toEqual(times.toSorted((a, b) => b - a));
  });

  it('are forgotten after an hour, and make room for others', () => {
    const slow = new SlowRequests();
    for (let i = 0; i < SLOW_REQUESTS; i++) slow.offer(null, steps(i, 0, 5_000));
    slow.offer(null, steps(99, 3_700_000, 3));
    expect(slow.list(3_700_010, all).map(([arrived]) => arrived!.id)).toEqual([99]);
    expect(slow.list(9_000_000, all)).toEqual([]);
  });

  it('are shown to those who may see their tenant', () => {
    const slow = new SlowRequests();
    slow.offer('acme', steps(1, 0, 10));
    slow.offer('beta', steps(2, 0, 20));
    expect(slow.list(100, (tenant) => tenant === 'acme').map(([arrived]) => arrived!.id)).toEqual([1]);
  });

  it('keep the first steps and the last of a request that has very many', () => {
    const slow = new SlowRequests();
    const placed = (at: number): RequestStep => ({
      ...{ step: 'placed', id: 1, at, worker: 'w', resumed: 0, candidates: [], sources: [] },
    });
    slow.offer(null, [
      { step: 'arrived', id: 1, at: 0, tokens: 1 },
      ...Array.from({ length: 500 }, (_, i) => placed(i)),
      { step: 'ended', id: 1, at: 900, tokens: 0, outcome: 'failed' },
    ]);
    const [kept] = slow.list(1_000, all);
    expect([kept!.length, kept!.at(-1)!.step]).toEqual([32, 'ended']);
  });
});

describe('the counts of tenants', () => {
  it('add up, also for requests that still run', () => {
    const counts = new TenantCounts(1_000);
    const first = counts.begin('acme', 2_000);
    first.started({ local: 64, remote: 0, computed: 6 });
    first.generated(3);
    first.ended('done');
    const second = counts.begin('acme', 3_000);
    second.started({ local: 0, remote: 64, computed: 6 });
    counts.begin(null, 4_000).ended('failed');
    expect(counts.answer(5_000)).toEqual({
      since_seconds: 4,
      tenants: [
        { tenant: null, running: 0, requests: 1, failed: 1, cached: zero, generated: 0, idle_seconds: 1 },
        {
          ...{ tenant: 'acme', running: 1, requests: 1, failed: 0, generated: 3, idle_seconds: 2 },
          cached: { local: 64, remote: 64, computed: 12 },
        },
      ],
    });
  });

  it('are of a bounded number of tenants', () => {
    const counts = new TenantCounts(0);
    for (let i = 0; i < COUNTED_TENANTS + 5; i++) counts.begin(`t${i}`, i);
    const { tenants } = counts.answer(9_999);
    expect([tenants.length, tenants.at(-1)!.tenant]).toEqual([COUNTED_TENANTS, 't5']);
  });
});

const zero = { local: 0, remote: 0, computed: 0 };

describe('the survey of the runtime', () => {
  const subjects = runtimeSubjects('fleet');
  const instance: InstanceEntry = {
    ...{ id: 'a1', class: 'Counter', version: 'v', name: 'c', namespace: 'default', lifetime: 'driver', node: 'n1' },
    ...{ restarts: 0, running: 1, waiting: 0, calls: 7, errors: 0, resources: {} },
    ...{ maxConcurrency: 1, ageMs: 5, owner: null, bundle: null },
  };

  async function world() {
    const clock = new SimulatedClock();
    const broker = new MemoryBroker();
    const system = async (id: string) => {
      const bus = broker.connect(id);
      const actors = new ActorSystem({
        ...{ bus, clock, random: new SeededRandom(1), namespace: 'fleet' },
        node: { id, incarnation: `${id}-1` },
      });
      await actors.start();
      onTestFinished(() => actors.stop());
      return { bus, actors };
    };
    const own = await system('coordinator-1');
    const node = await system('n1');
    const view = new LiveRuntimeView(own.bus, clock, 'fleet', own.actors);
    const life = new Lifecycle();
    await view.start(life);
    onTestFinished(() => life.stop());
    const survey = new RuntimeSurvey(view, clock);
    const announce = (id: string) => {
      const view = {
        ...{ id, incarnation: `${id}-1`, kind: 'node', pid: 7, host: 'h', address: null, worker: null, exports: [] },
        ...{ total: {}, free: {}, actors: 1, tasks: 0 },
      };
      node.bus.publish(subjects.announce, encode(view));
    };
    return { clock, survey, node, announce };
  }

  it('asks each node that it hears', async () => {
    const { survey, node, announce, clock } = await world();
    await node.actors.spawn(
      HostProtocol,
      HOST_ACTOR,
      () =>
        ({
          async *instances() {
            yield [instance];
          },
          async *tasks() {},
        }) as never,
    );
    announce('n1');
    await clock.advance(1);
    const asked = survey.answer();
    await clock.advance(100);
    expect(await asked).toMatchObject({
      nodes: [{ id: 'n1', kind: 'node', actors: 1 }],
      actors: [{ id: 'a1', class: 'Counter', node: 'n1', calls: 7 }],
      silent: [],
      more: false,
    });
  });

  it('names a node that does not answer, and forgets one that is silent', async () => {
    const { survey, announce, clock } = await world();
    announce('n2');
    await clock.advance(1);
    const asked = survey.answer();
    await clock.advance(5_500);
    expect((await asked).silent).toEqual(['n2']);
    await clock.advance(5_000);
    expect((await survey.answer()).nodes).toEqual([]);
  });
});
