import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatReport, median, quotients, reportRatio, reportRow } from '../../../bench/report.js';

describe('a report', () => {
  it('has a median with as many samples below as above it', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (samples) => {
        const middle = median(samples);
        const below = samples.filter((sample) => sample < middle).length;
        const above = samples.filter((sample) => sample > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(samples.length / 2);
      }),
    );
  });

  it('shows every figure with its spread, and whether bounds are kept', () => {
    const kept = reportRatio('local / floor', [1.1, 1, 1.2], { kind: 'at most', value: 1.25 });
    const missed = reportRatio('cold / remote', [9], { kind: 'at least', value: 10 });
    const plain = reportRatio('for information', [2]);
    const delay = reportRatio('busy - idle', [0.5, 0.25, 3], { kind: 'at most', value: 2 }, 'ms');
    expect([kept, missed, plain, delay].map(({ holds }) => holds)).toEqual([true, false, true, true]);
    expect(kept).toMatchObject({ unit: 'x', value: 1.1, min: 1, max: 1.2, bound: { kind: 'at most', value: 1.25 } });
    const rows = [reportRow('cold', 'ms', [100, 300, 200])];
    expect(rows).toEqual([
      { name: 'cold', unit: 'ms', median: 200, min: 100, max: 300, samples: 3, values: [100, 300, 200] },
    ]);
    const text = formatReport({ name: 'ttft', rows, ratios: [kept, missed, plain, delay], machine: 'a machine' });
    expect(text).toBe(
      [
        'ttft on a machine',
        '',
        '  cold                  200 ms  (100 to 300, 3 samples)',
        '',
        '  local / floor        1.10 x  (1.00 to 1.20)  at most 1.25: kept',
        '  cold / remote        9.00 x  at least 10: MISSED',
        '  for information      2.00 x',
        '  busy - idle         0.500 ms  (0.250 to 3.00)  at most 2: kept',
      ].join('\n'),
    );
  });

  it('compares quantities round by round', () => {
    expect(quotients([2, 9], [1, 3])).toEqual([2, 3]);
  });
});
