import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RequestTrace, withStep } from '../../../console/feed/request-trace.js';
import { curvedWay, onWay, pointAt, ringLayout, straightWay } from '../../../console/ring/ring-layout.js';
import { LEAST_MS, legsOf, mayShow } from '../../../console/ring/travel.js';
import type { FeedWorker, RequestStep } from '../../../src/console/feed-messages.js';

const worker = (id: string, budget: number, bytes = 0): FeedWorker => ({
  ...{ id, state: 'serving', device: 'cpu', quarantined: false, blocks: 0, bytes, budget },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
});
const trace = (...steps: RequestStep[]): RequestTrace =>
  steps.reduce<RequestTrace | undefined>((known, step) => withStep(known, step), undefined)!;
const placed = (at: number, id: string, sources: string[] = []): RequestStep => ({
  ...{ step: 'placed', id: 1, at, worker: id, resumed: 0, candidates: [] },
  sources,
});

describe('the layout of the ring', () => {
  it('gives each worker an arc by its memory, in order, without overlap, within the circle', () => {
    const workers = fc.array(
      fc.record({ budget: fc.integer({ min: 0, max: 1e12 }), used: fc.double({ min: 0, max: 2, noNaN: true }) }),
      {
        minLength: 1,
        maxLength: 200,
      },
    );
    fc.assert(
      fc.property(workers, (drawn) => {
        const arcs = ringLayout(drawn.map(({ budget, used }, i) => worker(`w${i}`, budget, Math.round(budget * used))));
        expect(arcs.map(({ worker: { id } }) => id)).toEqual(drawn.map((_, i) => `w${i}`));
        let end = -1e-9;
        for (const { from, to, usedTo } of arcs) {
          expect(from).toBeGreaterThanOrEqual(end - 1e-9);
          expect(to).toBeGreaterThan(from);
          expect(usedTo).toBeGreaterThanOrEqual(from);
          expect(usedTo).toBeLessThanOrEqual(to + 1e-9);
          end = to;
        }
        expect(end).toBeLessThanOrEqual(2 * Math.PI + 1e-9);
      }),
    );
  });

  it('makes an arc twice as long for twice the memory', () => {
    const [small, large] = ringLayout([worker('a', 100), worker('b', 200)]);
    expect((large!.to - large!.from) / (small!.to - small!.from)).toBeCloseTo(2);
  });

  it('begins at the top and goes clockwise', () => {
    expect(pointAt(0, 10).y).toBeCloseTo(-10);
    expect(pointAt(Math.PI / 2, 10).x).toBeCloseTo(10);
    const [from, to] = [pointAt(0.3, 10), pointAt(3, 10)];
    for (const way of [curvedWay(from, to), straightWay(from, to)]) {
      expect([0, 1].map((share) => ({ x: onWay(way, 'x', share), y: onWay(way, 'y', share) }))).toEqual([from, to]);
    }
    expect(onWay(straightWay(from, to), 'x', 0.25)).toBeCloseTo(0.75 * from.x + 0.25 * to.x);
  });

  it('sends blocks round the centre, where the coordinator is written', () => {
    const angle = fc.double({ min: 0, max: 6.28, noNaN: true });
    fc.assert(
      fc.property(angle, angle, (a, b) => {
        const way = curvedWay(pointAt(a, 214), pointAt(b, 214));
        for (let share = 0; share <= 1; share += 0.05) {
          const distance = Math.hypot(onWay(way, 'x', share), onWay(way, 'y', share));
          expect(distance).toBeGreaterThan(60);
          expect(distance).toBeLessThanOrEqual(214 + 1e-6);
        }
      }),
    );
  });
});

describe('the travel of a request', () => {
  const steps: RequestStep[] = [
    { step: 'arrived', id: 1, at: 1_000, tokens: 200 },
    placed(1_001, 'w2', ['w2', 'w3']),
    { step: 'started', id: 1, at: 1_005, worker: 'w2', cached: { local: 64, remote: 64, computed: 72 }, queue_ms: 1 },
    { step: 'first', id: 1, at: 1_010 },
    { step: 'ended', id: 1, at: 1_020, tokens: 4, outcome: 'done' },
  ];

  it('has a leg for each thing that happened, one after another, long enough to be seen', () => {
    const legs = legsOf(trace(...steps));
    expect(legs.map(({ kind }) => kind)).toEqual(['placed', 'local', 'remote', 'computed', 'streamed']);
    // Nobody has told yet who sent the blocks.
    expect(legs.find(({ kind }) => kind === 'remote')).toMatchObject({ worker: 'w2', from: null });
    const from = [{ worker: 'w3', blocks: 1, copied: 0 }];
    const told = legsOf(trace(...steps, { step: 'found', id: 1, at: 1_030, worker: 'w2', host: 0, disk: 0, from }));
    expect(told.find(({ kind }) => kind === 'remote')).toMatchObject({ from: 'w3' });
    for (const [i, leg] of legs.entries()) {
      expect(leg.end - leg.start).toBeGreaterThanOrEqual(LEAST_MS[leg.kind]);
      if (i > 0) expect(leg.start).toBe(legs[i - 1]!.end);
    }
  });

  it('goes on while the request does', () => {
    const legs = legsOf(trace(...steps.slice(0, 4)));
    expect(legs.at(-1)).toMatchObject({ kind: 'streamed', end: Number.POSITIVE_INFINITY });
    const waiting = legsOf(trace(...steps.slice(0, 2)));
    expect(waiting.map(({ kind }) => kind)).toEqual(['placed', 'waiting']);
    expect(waiting.at(-1)!.end).toBe(Number.POSITIVE_INFINITY);
  });

  it('shows a move to another worker, and a failure', () => {
    const moved = legsOf(trace(...steps.slice(0, 2), placed(1_500, 'w1')));
    expect(moved.map(({ kind, worker: id }) => `${kind} ${id}`)).toEqual([
      'placed w2',
      'waiting w2',
      'placed w1',
      'waiting w1',
    ]);
    const failed = legsOf(
      trace(...steps.slice(0, 2), { step: 'ended', id: 1, at: 1_100, tokens: 0, outcome: 'failed' }),
    );
    expect(failed.at(-1)).toMatchObject({ kind: 'failed', worker: 'w2' });
  });

  it('is not looked at before it begins, nor when it is long over', () => {
    const whole = trace(...steps);
    const end = legsOf(whole).at(-1)!.end;
    expect([mayShow(whole, 999), mayShow(whole, 1_000), mayShow(whole, end - 1), mayShow(whole, 60_000)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});
