import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TimedFlow } from '../../../console/feed/fleet-model.js';
import { copiesWithin, DRAWN_FLOWS, FLOW_MS, flowSums } from '../../../console/ring/flow-legs.js';
import { ringLayout } from '../../../console/ring/ring-layout.js';
import { CELL_PITCH, cellPaths, copiesOf, markPath, segmentCells } from '../../../console/ring/segment-cells.js';
import type { FeedSegment, FeedWorker } from '../../../src/console/feed-messages.js';

const worker = (id: string, state: FeedWorker['state'] = 'serving'): FeedWorker => ({
  ...{ id, state, device: 'cpu', quarantined: false, blocks: 0, bytes: 0, budget: 1 },
  ...{ running: 0, waiting: 0, hit_rate: 0, compute_ms_per_token: null },
});
const segment = (id: string, hits: number, homes: string[], holders: string[]): FeedSegment => ({
  ...{ id, hits, blocks: 8, homes, holders },
});

describe('the copies of segments on the ring', () => {
  it('tell homes, guests and copies that are lacking apart', () => {
    expect(copiesOf(segment('a', 1, ['w1', 'w2'], ['w3', 'w1']))).toEqual([
      { worker: 'w1', role: 'home' },
      { worker: 'w2', role: 'lacking' },
      { worker: 'w3', role: 'guest' },
    ]);
    const arcs = ringLayout(['w1', 'w2', 'w3'].map((id) => worker(id)));
    const cells = segmentCells(arcs, [segment('a', 9, ['w1', 'w2'], ['w3', 'w1'])]);
    expect(cells.map(({ worker: id, role }) => `${id} ${role}`)).toEqual(['w1 home', 'w2 lacking', 'w3 guest']);
    const paths = cellPaths([...cells, ...cells]);
    expect(paths.map(({ role, path }) => [role, path.split('M').length - 1])).toEqual([
      ['home', 2],
      ['lacking', 2],
      ['guest', 2],
    ]);
    expect(markPath(cells, 'a').split('M')).toHaveLength(4);
    expect(markPath(cells, 'b')).toBe('');
  });

  it('have no place on a worker that is dead or unknown', () => {
    const arcs = ringLayout([worker('w1'), worker('w2', 'dead')]);
    expect(segmentCells(arcs, [segment('a', 1, ['w1', 'w2'], ['w1', 'w2', 'w9'])])).toMatchObject([{ worker: 'w1' }]);
  });

  it('are apart from each other, inside the arcs, however many there are; the hottest ones where room is short', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 0, max: 96 }), (workers, segments) => {
        const ids = Array.from({ length: workers }, (_, i) => `w${i}`);
        const list = Array.from({ length: segments }, (_, i) => {
          const own = [ids[(i * 7) % workers]!];
          return segment(`s${i}`, i, own, own);
        });
        const cells = segmentCells(ringLayout(ids.map((id) => worker(id))), list);
        for (const id of ids) {
          const own = cells.filter((cell) => cell.worker === id);
          const wanted = list.filter(({ homes }) => homes[0] === id).map(({ hits }) => hits);
          const shown = own.map((cell) => Number(cell.segment.slice(1)));
          expect(shown.toSorted((a, b) => b - a)).toEqual(wanted.toSorted((a, b) => b - a).slice(0, own.length));
          expect(own.length > 0).toBe(wanted.length > 0);
        }
        const distances = cells.flatMap((a, i) => cells.slice(i + 1).map((b) => Math.hypot(a.x - b.x, a.y - b.y)));
        expect(Math.min(...distances, CELL_PITCH)).toBeGreaterThan(CELL_PITCH / 2);
        expect(Math.max(...cells.map(({ x, y }) => Math.hypot(x, y)), 0)).toBeLessThan(214);
      }),
      { numRuns: 40 },
    );
  });
});

describe('the flows of copies', () => {
  const flow = (at: number, copied: number, from = 'a', to = 'b'): TimedFlow => ({ at, from, to, fetched: 1, copied });

  it('can be seen for a while after they were told of, at any time of the replay', () => {
    const flows = [flow(1_000, 2), flow(1_100, 0), flow(2_000, 3), flow(9_000, 1)];
    const seen = (time: number) => copiesWithin(flows, time).map(({ at }) => at);
    expect([seen(999), seen(1_000), seen(2_100), seen(2_000 + FLOW_MS), seen(9_000)]).toEqual([
      [],
      [1_000],
      [2_000, 1_000],
      [],
      [9_000],
    ]);
  });

  it('are drawn in a bounded number, the latest', () => {
    const flows = Array.from({ length: DRAWN_FLOWS + 5 }, (_, i) => flow(i, 1));
    const seen = copiesWithin(flows, DRAWN_FLOWS + 5);
    expect([seen.length, seen[0]!.at]).toEqual([DRAWN_FLOWS, DRAWN_FLOWS + 4]);
  });

  it('add up for each pair of workers, the largest first', () => {
    const flows = [flow(1, 9), flow(5, 1), flow(6, 2), flow(7, 8, 'b', 'a')];
    expect(flowSums(flows, 1)).toEqual([
      { from: 'b', to: 'a', fetched: 1, copied: 8 },
      { from: 'a', to: 'b', fetched: 2, copied: 3 },
    ]);
  });
});
