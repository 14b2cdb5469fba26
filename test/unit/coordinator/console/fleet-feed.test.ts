import { describe, expect, it } from 'vitest';
import { CoarseView } from '../../../../coordinator/console/coarse-view.js';
import type { OrderedFault } from '../../../../coordinator/console/disturbance-news.js';
import { FEED_BACKLOG } from '../../../../coordinator/console/feed-client.js';
import {
  ACTIVITY_INTERVAL_MS,
  DAMAGE_PAUSE_MS,
  FEED_CLIENTS,
  FEED_INTERVAL_MS,
  FEED_RESERVE,
  FEED_TENANT_CLIENTS,
  FleetFeed,
} from '../../../../coordinator/console/fleet-feed.js';
import { HISTORY_STEP_MS, History } from '../../../../coordinator/console/history.js';
import { RequestJournal } from '../../../../coordinator/console/request-journal.js';
import { SlowRequests } from '../../../../coordinator/console/slow-requests.js';
import type { ActivityNews } from '../../../../coordinator/console/worker-activities.js';
import { SimulatedClock, settled } from '../../../../src/clock.js';
import type { FeedMessage, FeedSegment } from '../../../../src/console/feed-messages.js';
import { COARSE_MS } from '../../../../src/core/coarse.js';
import { Overloaded } from '../../../../src/errors.js';
import { counter } from '../support/counter.js';
import { member, ScriptedFleet } from '../support/scripted-fleet.js';

const OPERATOR = { role: 'operator' as const, tenant: null };

/** Of a worker that has done nothing. */
const NEWS: ActivityNews = {
  ...{ worker: 'w1', received: [], fetchedBytes: 0, copiedBytes: 0 },
  ...{ evicted: 0, damaged: 0, right: 0, wrong: 0, found: [] },
};

class Scene {
  readonly clock = new SimulatedClock();
  readonly fleet = new ScriptedFleet();
  segments: FeedSegment[] = [];
  readonly history = new History();
  /** What the workers say in each round. */
  news: ActivityNews[] = [];
  rounds = 0;
  readonly journal = new RequestJournal(this.clock, new SlowRequests(), { used: () => {} }, counter());
  blocks = { blocks: 4, below: 0 };
  /** Blocks by worker, as the coordinator counts them. */
  readonly held = new Map<string, number>();
  readonly toldOthers: OrderedFault[] = [];
  /** Another coordinator tells of a fault. */
  hear!: (fault: OrderedFault, agoMs: number) => void;
  readonly feed = new FleetFeed({
    clock: this.clock,
    view: () => this.fleet.view(),
    coarse: new CoarseView(this.clock),
    countBlocks: () => this.blocks,
    blocksOf: (id) => this.held.get(id) ?? null,
    journal: this.journal,
    history: this.history,
    heat: { list: () => this.segments },
    activities: {
      round: (listener) => {
        this.rounds++;
        for (const each of this.news) listener(each);
      },
    },
    about: { version: '1.2.3', model: 'recall', routing: true, chaos: false },
    disturbances: {
      tell: (fault) => void this.toldOthers.push(fault),
      listen: (listener) => {
        this.hear = listener;
      },
    },
  });

  constructor() {
    this.feed.start();
  }

  /** A request begins. */
  arrive(requestId: string, tenant: string | null, promptTokens: number) {
    const arrivedMs = this.clock.now();
    return this.journal.arrived({ requestId, clientId: null, tenant, promptTokens, arrivedMs });
  }

  /** Opens a page. The list grows as messages come, without beats. */
  page(reader: Parameters<FleetFeed['open']>[0] = OPERATOR) {
    const closed = new AbortController();
    const messages: FeedMessage[] = [];
    const ended = (async () => {
      for await (const some of this.feed.open(reader, closed.signal))
        messages.push(...some.filter(({ type }) => type !== 'beat'));
    })();
    return { messages, ended, close: () => closed.abort() };
  }

  /** What a new page would be told to have happened. */
  happened(): string[] {
    return this.feed.happened.map(({ kind, worker }) => (worker === null ? kind : `${kind} ${worker}`));
  }
}

describe('the feed of the console', () => {
  it('tells users counts that are rounded and a minute old, and the states of workers at once', async () => {
    const scene = new Scene();
    const budget = { device: 8_000, host: 800 };
    const busy = { blocks: 1_000, bytes: { device: 3_100, host: 0 }, budget, running: 3, waiting: 9, hitRate: 0.56 };
    scene.fleet.workers = [{ ...member('w1'), ...busy }];
    scene.blocks = { blocks: 777, below: 3 };
    await scene.clock.advance(2 * COARSE_MS);
    const user = scene.page({ role: 'user', tenant: 'acme' });
    const operator = scene.page();
    await settled();
    const coarse = { blocks: 512, bytes: 3_000, budget: 8_800, running: 0, waiting: 8, hit_rate: 0.5 };
    expect(user.messages.at(-1)).toMatchObject({ copies: { blocks: 512, below: 0 }, workers: [coarse] });
    expect(operator.messages.find(({ type }) => type === 'fleet')).toMatchObject({
      workers: [{ blocks: 1_000, bytes: 3_100, running: 3, waiting: 9 }],
    });
    // What another tenant does within the minute shows to operators alone.
    const rates = { ...member('w1').rates, computeMsPerToken: 7 };
    const busier = { ...busy, blocks: 9_000, bytes: { device: 7_900, host: 0 }, running: 60, rates };
    scene.fleet.workers = [{ ...member('w1'), ...busier }];
    scene.blocks = { blocks: 9_000, below: 900 };
    await scene.clock.advance(COARSE_MS / 2);
    expect(user.messages).toHaveLength(2);
    expect(operator.messages.at(-1)).toMatchObject({
      workers: [{ blocks: 9_000, running: 60, compute_ms_per_token: 7 }],
    });
    scene.fleet.workers = [{ ...scene.fleet.workers[0]!, state: 'draining' }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    const told = () => user.messages.filter(({ type }) => type === 'fleet').at(-1);
    expect(told()).toMatchObject({ workers: [{ ...coarse, state: 'draining' }] });
    await scene.clock.advance(COARSE_MS);
    expect(told()).toMatchObject({ copies: { blocks: 8_192 }, workers: [{ blocks: 8_192, running: 32 }] });
  });

  it('counts the blocks of workers as it counts copies, not as the workers told last', async () => {
    const scene = new Scene();
    scene.fleet.workers = [
      { ...member('w1'), blocks: 48 },
      { ...member('w2'), blocks: 5 },
    ];
    scene.held.set('w1', 56);
    await scene.clock.advance(FEED_INTERVAL_MS);
    const page = scene.page();
    await settled();
    expect(page.messages.find(({ type }) => type === 'fleet')).toMatchObject({
      workers: [
        { id: 'w1', blocks: 56 },
        { id: 'w2', blocks: 5 },
      ],
    });
  });

  it('tells pages what an operator does to the fleet, also those that open later', async () => {
    const scene = new Scene();
    const page = scene.page();
    await settled();
    scene.feed.disturbed('corrupt', 'w1', 5);
    scene.feed.disturbed('kill', 'w2');
    await settled();
    const told = [
      { at: 0, kind: 'disturbed', worker: 'w1', fault: 'corrupt', seconds: 5 },
      { at: 0, kind: 'disturbed', worker: 'w2', fault: 'kill' },
    ];
    expect(page.messages.flatMap((each) => (each.type === 'happened' ? [each.happening] : []))).toEqual(told);
    expect(scene.feed.happened).toEqual(told);
  });

  it('begins with what it is and with the whole fleet, then tells only what has changed', async () => {
    const scene = new Scene();
    scene.fleet.workers = [member('w1'), member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    const { messages } = scene.page();
    await settled();
    expect(messages).toMatchObject([
      {
        type: 'hello',
        version: '1.2.3',
        model: 'recall',
        role: 'operator',
        happened: [{ kind: 'joined', worker: 'w2' }],
      },
      { type: 'fleet', whole: true, replicas: 2, copies: { blocks: 4 }, workers: [{ id: 'w1' }, { id: 'w2' }] },
      { type: 'segments', whole: true, segments: [] },
    ]);
    await scene.clock.advance(1_000);
    expect(messages).toHaveLength(3);
    scene.fleet.workers = [member('w1'), { ...member('w2'), running: 5 }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(messages.slice(3)).toMatchObject([{ type: 'fleet', whole: false, workers: [{ id: 'w2', running: 5 }] }]);
    scene.fleet.workers = [member('w1')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(messages.slice(4)).toMatchObject([
      { type: 'happened', happening: { kind: 'left', worker: 'w2' } },
      { type: 'fleet', workers: [], gone: ['w2'] },
    ]);
  });

  it('tells of a death, and of copies only after a loss, until they are all there again', async () => {
    const scene = new Scene();
    scene.fleet.workers = [member('w1'), member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    // New blocks lack a copy for a moment: no news.
    scene.blocks = { blocks: 5, below: 1 };
    await scene.clock.advance(FEED_INTERVAL_MS);
    scene.blocks = { blocks: 5, below: 0 };
    await scene.clock.advance(FEED_INTERVAL_MS);
    scene.fleet.workers = [member('w1'), { ...member('w2'), state: 'suspect' }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    scene.fleet.workers = [member('w1'), { ...member('w2'), state: 'dead' }];
    scene.blocks = { blocks: 5, below: 3 };
    await scene.clock.advance(FEED_INTERVAL_MS);
    scene.blocks = { blocks: 5, below: 0 };
    scene.fleet.workers = [member('w1'), { ...member('w2'), incarnation: 'w2-2' }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(scene.happened()).toEqual([
      'joined w2',
      'suspect w2',
      'dead w2',
      'copies-short',
      'restarted w2',
      'copies-restored',
    ]);
  });

  it('does not tell of blocks that a worker had refused before this coordinator knew it', async () => {
    const scene = new Scene();
    scene.fleet.workers = [...scene.fleet.workers, { ...member('new'), damaged: [{ peer: 'w1', blocks: 9 }] }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(scene.happened()).toEqual(['joined new']);
  });

  it('tells that a worker is back in the same process, and which one refuses whose blocks, now and then', async () => {
    const scene = new Scene();
    const refusing = (blocks: number) => ({ ...member('w1'), damaged: [{ peer: 'w2', blocks }] });
    scene.fleet.workers = [member('w1'), { ...member('w2'), state: 'dead' }];
    await scene.clock.advance(FEED_INTERVAL_MS);
    scene.fleet.workers = [member('w1'), member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    for (const blocks of [1, 1, 2, 3]) {
      scene.fleet.workers = [refusing(blocks), member('w2')];
      await scene.clock.advance(FEED_INTERVAL_MS);
    }
    expect(scene.happened()).toEqual(['back w2', 'damaged w1']);
    expect(scene.feed.happened.at(-1)).toMatchObject({ worker: 'w1', from: 'w2' });
    await scene.clock.advance(DAMAGE_PAUSE_MS);
    expect(scene.happened()).toHaveLength(2);
    scene.fleet.workers = [refusing(4), member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    // A new process counts from zero.
    scene.fleet.workers = [{ ...refusing(1), incarnation: 'w1-2' }, member('w2')];
    await scene.clock.advance(DAMAGE_PAUSE_MS);
    scene.fleet.workers = [{ ...refusing(2), incarnation: 'w1-2' }, member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(scene.happened().slice(2)).toEqual(['damaged w1', 'restarted w1', 'damaged w1']);
  });

  it('tells of faults that were ordered here or at another coordinator, and only the others of those ordered here', async () => {
    const scene = new Scene();
    scene.feed.disturbed('kill', 'w1');
    await scene.clock.advance(10_000);
    scene.hear({ fault: 'stop', worker: null, seconds: 5 }, 4_000);
    expect(scene.feed.happened).toEqual([
      { at: expect.any(Number), kind: 'disturbed', worker: 'w1', fault: 'kill' },
      { at: scene.clock.now() - 4_000, kind: 'disturbed', worker: null, fault: 'stop', seconds: 5 },
    ]);
    expect(scene.toldOthers).toEqual([{ fault: 'kill', worker: 'w1', seconds: null }]);
  });

  it('tells of the first block that is refused after an order to send corrupt ones', async () => {
    const scene = new Scene();
    const refusing = (blocks: number) => ({ ...member('w1'), damaged: [{ peer: 'w2', blocks }] });
    scene.fleet.workers = [member('w1'), member('w2')];
    await scene.clock.advance(FEED_INTERVAL_MS);
    for (const blocks of [1, 2]) {
      scene.feed.disturbed('corrupt', 'w2', 2);
      scene.fleet.workers = [refusing(blocks), member('w2')];
      await scene.clock.advance(FEED_INTERVAL_MS);
    }
    expect(scene.happened().slice(-4)).toEqual(['disturbed w2', 'damaged w1', 'disturbed w2', 'damaged w1']);
  });

  it('tells the steps of all requests to an operator, and those of the own tenant to a user', async () => {
    const scene = new Scene();
    const operator = scene.page();
    const user = scene.page({ role: 'user', tenant: 'acme' });
    scene.arrive('r1', 'acme', 10).ended(1, 'done');
    scene.arrive('r2', 'other', 20);
    scene.arrive('r3', null, 30);
    await scene.clock.advance(FEED_INTERVAL_MS);
    const arrived = ({ messages }: { messages: FeedMessage[] }) =>
      messages
        .flatMap((message) => (message.type === 'steps' ? message.steps : []))
        .map(({ step, id }) => `${step} ${id}`);
    expect(arrived(operator)).toEqual(['arrived 1', 'ended 1', 'arrived 2', 'arrived 3']);
    expect(arrived(user)).toEqual(['arrived 1', 'ended 1']);
  });

  it('tells a page that opens the steps so far of what runs, once, and sends none while no page is open', async () => {
    const scene = new Scene();
    const early = scene.arrive('r1', 'acme', 1);
    const stepsOf = ({ messages }: { messages: FeedMessage[] }) =>
      messages
        .flatMap((message) => (message.type === 'steps' ? message.steps : []))
        .map(({ step, id }) => `${step} ${id}`);
    const first = scene.page();
    scene.arrive('r2', 'other', 1);
    early.generated();
    const later = scene.page();
    const user = scene.page({ role: 'user', tenant: 'acme' });
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(stepsOf(first)).toEqual(['arrived 1', 'arrived 2', 'first 1']);
    expect(stepsOf(later)).toEqual(['arrived 1', 'first 1', 'arrived 2']);
    expect(stepsOf(user)).toEqual(['arrived 1', 'first 1']);
    const pages = [first, later, user];
    for (const page of pages) page.close();
    await Promise.all(pages.map(({ ended }) => ended));
    early.ended(1, 'done');
    await scene.clock.advance(FEED_INTERVAL_MS);
    expect(stepsOf(first)).toHaveLength(3);
    const last = scene.page();
    await settled();
    expect(stepsOf(last)).toEqual(['arrived 2']);
  });

  it('tells operators, and nobody else, which segments are hot and where blocks went', async () => {
    const scene = new Scene();
    const segment = (id: string, hits: number) => ({ id, hits, blocks: 8, homes: ['w1'], holders: ['w1', 'w2'] });
    scene.segments = [segment('a', 5), segment('b', 1)];
    const operator = scene.page();
    const user = scene.page({ role: 'user', tenant: 'acme' });
    const told = ({ messages }: { messages: FeedMessage[] }) =>
      messages.filter(({ type }) => type === 'segments' || type === 'flows');
    await settled();
    scene.segments = [segment('c', 9), segment('a', 5)];
    await scene.clock.advance(1_000);
    // Nothing new: nothing is sent.
    await scene.clock.advance(1_000);
    scene.news = [{ ...NEWS, worker: 'w2', received: [{ peer: 'w1', fetched: 2, pushed: 3 }] }];
    await scene.clock.advance(ACTIVITY_INTERVAL_MS);
    scene.news = [];
    await scene.clock.advance(1_000);
    expect(told(operator)).toMatchObject([
      { type: 'segments', whole: true, segments: [{ id: 'a' }, { id: 'b' }], gone: [] },
      { type: 'segments', whole: false, segments: [{ id: 'c', hits: 9 }], gone: ['b'] },
      { type: 'flows', flows: [{ from: 'w1', to: 'w2', fetched: 2, copied: 3 }] },
    ]);
    expect(told(user)).toEqual([]);
  });

  it('asks the workers once in each step of the history while no page is open, and more often while one is', async () => {
    const scene = new Scene();
    scene.news = [{ ...NEWS, evicted: 4 }];
    await scene.clock.advance(2 * HISTORY_STEP_MS);
    expect(scene.rounds).toBe(2);
    expect(scene.history.since(0).series.evicted.at(-1)).toBe(4 / (HISTORY_STEP_MS / 1_000));
    scene.page();
    await scene.clock.advance(HISTORY_STEP_MS);
    expect(scene.rounds).toBe(2 + HISTORY_STEP_MS / ACTIVITY_INTERVAL_MS);
  });

  it('refuses pages beyond its limit, and has room again when one closes', async () => {
    const scene = new Scene();
    const pages = Array.from({ length: FEED_CLIENTS }, () => scene.page());
    expect(() => scene.feed.open(OPERATOR, new AbortController().signal)).toThrow(Overloaded);
    pages[0]!.close();
    await pages[0]!.ended;
    expect(() => scene.page()).not.toThrow();
  });

  it('gives a tenant a few of its places, and users never the last', () => {
    const scene = new Scene();
    const open = (tenant: string) => scene.feed.open({ role: 'user', tenant }, new AbortController().signal);
    for (const tenant of ['a', 'b', 'c']) {
      for (let i = 0; i < FEED_TENANT_CLIENTS; i++) open(tenant);
      expect(() => open(tenant)).toThrow(Overloaded);
    }
    expect(() => open('d')).toThrow(Overloaded);
    const operator = () => scene.feed.open(OPERATOR, new AbortController().signal);
    for (let i = 0; i < FEED_RESERVE; i++) operator();
    expect(operator).toThrow(Overloaded);
  });

  it('ends the feed of a page that does not read, so that it can begin anew', async () => {
    const scene = new Scene();
    const reading = scene.feed.open(OPERATOR, new AbortController().signal)[Symbol.asyncIterator]();
    expect((await reading.next()).value).toMatchObject([{ type: 'hello' }, { type: 'fleet' }, { type: 'segments' }]);
    for (let i = 0; i < FEED_BACKLOG + 1; i++) {
      scene.fleet.workers = [{ ...member('w1'), running: i }];
      await scene.clock.advance(FEED_INTERVAL_MS);
    }
    expect(await reading.next()).toEqual({ value: undefined, done: true });
  });

  it('ends all pages when it stops', async () => {
    const scene = new Scene();
    const { ended } = scene.page();
    scene.feed.stop();
    await ended;
  });
});
