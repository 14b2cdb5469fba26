import { describe, expect, it } from 'vitest';
import type { TimedFlow } from '../../../console/feed/fleet-model.js';
import { type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { DrawnScene, INNER_RADIUS } from '../../../console/ring/drawn-scene.js';
import { ringLayout } from '../../../console/ring/ring-layout.js';
import { SHORT_ROWS, shortRows } from '../../../console/ring/table-rows.js';
import type { FeedWorker, RequestStep } from '../../../src/console/feed-messages.js';

const worker = (id: string, state: FeedWorker['state'] = 'serving'): FeedWorker => ({
  ...{ id, state, device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 1 },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
});
const tracesOf = (...steps: RequestStep[]): ReadonlyMap<number, RequestTrace> =>
  new Map([[1, steps.reduce<RequestTrace | undefined>((known, step) => withStep(known, step), undefined)!]]);
const arrived: RequestStep = { step: 'arrived', id: 1, at: 1_000, tokens: 200 };
const placed: RequestStep = {
  ...{ step: 'placed', id: 1, at: 1_001, worker: 'w2', resumed: 0 },
  ...{ candidates: [], sources: [] },
};
const started: RequestStep = {
  ...{ step: 'started', id: 1, at: 1_400, worker: 'w2', queue_ms: 1 },
  cached: { local: 0, remote: 64, computed: 136 },
};
const found: RequestStep = {
  ...{ step: 'found', id: 1, at: 1_500, worker: 'w2', host: 0, disk: 0 },
  from: [{ worker: 'w1', blocks: 1, copied: 0 }],
};
const flow: TimedFlow = { at: 9_000, from: 'w1', to: 'w2', fetched: 0, copied: 2 };
const arcs = ringLayout([worker('w1'), worker('w2')]);

describe('the scene that frames draw', () => {
  it('has what can be seen soon, and follows steps, copies and the time', () => {
    const scene = new DrawnScene();
    const model = { traces: tracesOf(arrived, placed), flows: [flow] };
    scene.follow(model, arcs, 100);
    expect(scene.empty).toBe(true);
    scene.follow(model, arcs, 1_010);
    expect([scene.empty, scene.legs.placed.length, scene.legs.waiting.length]).toEqual([false, 1, 1]);
    scene.follow({ ...model, traces: tracesOf(arrived, placed, started) }, arcs, 1_420);
    // Nobody has told who sent the blocks.
    expect(scene.legs.remote).toMatchObject([{ way: null }]);
    scene.follow({ ...model, traces: tracesOf(arrived, placed, started, found) }, arcs, 1_430);
    const { from, to } = scene.legs.remote[0]!.way!;
    expect([Math.hypot(from.x, from.y), Math.hypot(to.x, to.y)].map(Math.round)).toEqual([INNER_RADIUS, INNER_RADIUS]);
    expect(Math.sign(from.x)).toBe(-Math.sign(to.x));
    expect(scene.copies).toEqual([]);
    scene.follow(model, arcs, 9_100);
    expect(scene.copies).toMatchObject([{ at: 9_000, copied: 2 }]);
    // The slider goes back.
    scene.follow(model, arcs, 1_010);
    expect([scene.copies.length, scene.legs.placed.length]).toEqual([0, 1]);
  });

  it('leaves out workers that are not on the ring, until they are', () => {
    const scene = new DrawnScene();
    const model = { traces: tracesOf(arrived, placed), flows: [{ ...flow, at: 1_000 }] };
    scene.follow(model, ringLayout([worker('w1')]), 1_010);
    expect(scene.empty).toBe(true);
    scene.follow(model, arcs, 1_010);
    expect([scene.legs.placed.length, scene.copies.length]).toEqual([1, 1]);
  });
});

describe('the short table of workers', () => {
  const many = Array.from({ length: 64 }, (_, i) => worker(`w${i}`, i === 40 ? 'dead' : 'serving'));

  it('has those that do not serve and the chosen one, in their order', () => {
    const rows = shortRows(many, 'w50').map(({ id }) => id);
    expect(rows.length).toBe(SHORT_ROWS);
    expect(rows.slice(-3)).toEqual(['w13', 'w40', 'w50']);
  });

  it('is as short if many are dead, and whole if it is short anyway', () => {
    expect(
      shortRows(
        many.map(({ id }) => worker(id, 'dead')),
        null,
      ).length,
    ).toBe(SHORT_ROWS);
    expect(shortRows(many.slice(0, SHORT_ROWS + 4), null).length).toBe(SHORT_ROWS + 4);
  });
});
