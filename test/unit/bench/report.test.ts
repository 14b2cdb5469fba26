import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatReport, keepsBound, median, reportRow } from '../../../bench/report.js';

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

  it('shows every quantity with its spread, and whether bounds are kept', () => {
    const kept = { name: 'local / floor', value: 1.1, bound: { kind: 'at most', value: 1.25 } } as const;
    const missed = { name: 'cold / remote', value: 9, bound: { kind: 'at least', value: 10 } } as const;
    const plain = { name: 'for information', value: 2, bound: null };
    expect([kept, missed, plain].map(keepsBound)).toEqual([true, false, true]);
    const rows = [reportRow('cold', 'ms', [100, 300, 200])];
    expect(rows).toEqual([{ name: 'cold', unit: 'ms', median: 200, min: 100, max: 300, samples: 3 }]);
    const text = formatReport({ name: 'ttft', rows, ratios: [kept, missed, plain], machine: 'a machine' });
    expect(text).toBe(
      [
        'ttft on a machine',
        '',
        '  cold                  200 ms  (100 to 300, 3 samples)',
        '',
        '  local / floor        1.10 x  at most 1.25: kept',
        '  cold / remote        9.00 x  at least 10: MISSED',
        '  for information      2.00 x',
      ].join('\n'),
    );
  });
});
