import { expect, it } from 'vitest';
import { type Probe, rocArea } from '../../../bench/roc.js';
import { SeededRandom } from '../../../src/random.js';

const random = new SeededRandom(7);
const below = (limit: number) => random.below(limit);
const trials = (count: number, gap: number): Probe[] =>
  Array.from({ length: count }, () => ({ less: random.below(1_000), more: random.below(1_000) + gap }));

it('the area is 1 for kinds that a measurement always tells apart, and 0.5 for ties', () => {
  expect(rocArea(trials(10, 1_000), below)).toEqual({ area: 1, low: 1, high: 1 });
  expect(rocArea([{ less: 5, more: 5 }], below)).toEqual({ area: 0.5, low: 0.5, high: 0.5 });
  // Of the four comparisons, one is lost.
  const some = [
    { less: 1, more: 4 },
    { less: 3, more: 2 },
  ];
  expect(rocArea(some, below).area).toBe(0.75);
});

it('the interval has the true area in about 95 of 100 cases, and is narrower with more trials', () => {
  const intervals = Array.from({ length: 200 }, () => rocArea(trials(20, 0), below));
  const hits = intervals.filter(({ low, high }) => low <= 0.5 && high >= 0.5).length;
  expect(hits).toBeGreaterThan(170);
  const width = ({ low, high }: { low: number; high: number }) => high - low;
  expect(width(rocArea(trials(200, 0), below))).toBeLessThan(width(intervals[0]!) / 2);
});
