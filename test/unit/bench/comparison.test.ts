import { expect, it } from 'vitest';
import { compareReports, formatComparison } from '../../../bench/comparison.js';
import { type Report, reportRatio, reportRow } from '../../../bench/report.js';

function report(rows: Record<string, [string, number[]]>, ratios: Report['ratios'] = []): Report {
  const all = Object.entries(rows).map(([name, [unit, samples]]) => reportRow(name, unit, samples));
  return { name: 'b', machine: 'm', rows: all, ratios };
}

const around = (value: number) => [0.98, 0.99, 1, 1.01, 1.02].map((factor) => factor * value);

it('says what became better or worse, by the direction of its unit or its bound', () => {
  const atLeast = { kind: 'at least', value: 1 } as const;
  const before = report(
    { latency: ['ms', around(10)], rate: ['tokens/s', around(100)], share: ['%', around(50)], kept: ['ms', around(7)] },
    [reportRatio('ours / theirs', around(1), atLeast)],
  );
  const after = report(
    { latency: ['ms', around(20)], rate: ['tokens/s', around(200)], share: ['%', around(60)], kept: ['ms', around(7)] },
    [reportRatio('ours / theirs', around(0.5), atLeast)],
  );
  const { compared, unmatched } = compareReports(before, after);
  expect(compared.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['latency', 'worse'],
    ['rate', 'better'],
    // Nobody knows whether more of it is better.
    ['share', 'unclear'],
    ['kept', 'the same'],
    ['ours / theirs', 'worse'],
  ]);
  expect(unmatched).toEqual([]);
  const [low, high] = compared[0]!.interval!;
  expect([low <= 2, high >= 2, low > 1.9, high < 2.1]).toEqual([true, true, true, true]);
  expect(formatComparison({ compared, unmatched })).toContain('10.0 -> 20.0 ms  2.00 x');
});

it('is not sure of noise, or of few samples', () => {
  const before = report({ noisy: ['ms', [1, 9, 2, 8, 5]], few: ['ms', [1, 1]], gone: ['ms', [1]] });
  const after = report({ noisy: ['ms', [2, 8, 3, 9, 6]], few: ['ms', [9, 9]], fresh: ['ms', [1]] });
  const { compared, unmatched } = compareReports(before, after);
  expect(compared.map(({ verdict }) => verdict)).toEqual(['unclear', 'unclear']);
  expect(compared[1]!.interval).toBeNull();
  expect(unmatched).toEqual(['gone', 'fresh']);
});
