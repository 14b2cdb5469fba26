import { describe, expect, it } from 'vitest';
import { plotsOf } from '../../../console/metrics/plot-contents.js';
import { joined, layerLine } from '../../../console/metrics/series.js';
import { TICK_DISTANCES, TIME_DISTANCES, timeTick } from '../../../console/metrics/ticks.js';
import { byteText } from '../../../console/parts/words.js';
import type { HistoryAnswer } from '../../../src/console/feed-messages.js';

describe('a layer of a stack', () => {
  it('has no line where it has nothing, and feet where it comes and goes', () => {
    expect(layerLine([5, 5, 5, 9, 5, 5], [0, null, 0, 4, 0, 0])).toEqual([null, null, 5, 9, 5, null]);
    expect(layerLine([7, 0, 0], [7, 0, 0])).toEqual([7, 0, null]);
  });

  it('of a source that gave nothing is not drawn', () => {
    const series = new Proxy({} as HistoryAnswer['series'], {
      get: (_, name) => (name === 'computed' ? [0, 0, 40, 0, 0] : [0, 0, 0, 0, 0]),
    });
    const [tokens] = plotsOf({ series } as HistoryAnswer);
    expect(tokens!.series.map(({ label, values }) => [label, values])).toEqual([
      ['own memory', [null, null, null, null, null]],
      ['another worker', [null, null, null, null, null]],
      ['computed', [null, 0, 40, 0, null]],
    ]);
  });
});

describe('the history of a page', () => {
  const answer = (at: number[], happened: number[]) =>
    ({ at, series: { requests: at }, happened: happened.map((each) => ({ at: each })) }) as unknown as HistoryAnswer;

  it('has each event once, though answers overlap, and begins anew with the coordinator', () => {
    // The second answer has what came after 20, and so an event that the first one has too.
    const whole = joined(answer([10, 20], [5, 21]), answer([30], [21, 29]), 2);
    expect(whole.at).toEqual([20, 30]);
    expect(whole.happened.map(({ at }) => at)).toEqual([5, 21, 29]);
    expect(joined(whole, answer([3], [1]), 2).happened.map(({ at }) => at)).toEqual([1]);
  });
});

describe('ticks', () => {
  it('stand at round values of what they count', () => {
    for (const distance of TICK_DISTANCES.bytes) expect(byteText(distance)).toMatch(/^(1|2|4|8|16|32|64|128|256|512) /);
    expect(TICK_DISTANCES.whole.every(Number.isInteger)).toBe(true);
    for (const distances of [...Object.values(TICK_DISTANCES), TIME_DISTANCES])
      expect(distances).toEqual([...new Set(distances)].toSorted((a, b) => a - b));
    expect([timeTick(90, 60), timeTick(90, 10)]).toEqual([
      expect.stringMatching(/^\d\d:01$/),
      expect.stringMatching(/^\d\d:01:30$/),
    ]);
  });
});
