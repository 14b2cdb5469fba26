import { expect, it } from 'vitest';
import { benchmarksPage, type MeasuredBenchmark } from '../../../bench/benchmarks-page.js';
import { reportRatio, reportRow } from '../../../bench/report.js';

const MEASURED: MeasuredBenchmark = {
  command: 'shoal bench ttft',
  about: 'Time to the first token.',
  date: '2031-02-03T04:05:06.000Z',
  report: {
    name: 'ttft',
    machine: 'two cores',
    rows: [
      reportRow('cold <&>', 'ms', [500, 510, 520]),
      reportRow('hit', 'ms', [50, 60, 70]),
      reportRow('one', '%', [1]),
    ],
    ratios: [
      reportRatio('hit / floor', [1.5], { kind: 'at most', value: 1.25 }),
      reportRatio('cold / hit', [10], { kind: 'at least', value: 10 }),
    ],
    notes: ['onnxruntime-genai: skipped, because it is not installed'],
  },
};

it('has a table with each figure, the goals and which were missed, and what was skipped', () => {
  const [page, ...charts] = benchmarksPage([MEASURED]);
  expect(page!.path).toBe('BENCHMARKS.md');
  expect(page!.content).toContain('| cold <&> | 510 ms | 500 | 520 | 3 |');
  expect(page!.content).toContain('| hit / floor | 1.50 x | 1.50 | 1.50 | at most 1.25 | **missed** |');
  expect(page!.content).toContain('| cold / hit | 10.0 x | 10.0 | 10.0 | at least 10 | kept |');
  expect(page!.content).toContain('## Goals missed\n\n- `shoal bench ttft`: hit / floor\n');
  expect(page!.content).toContain('`shoal bench ttft`, 2031-02-03, on two cores.');
  expect(page!.content).toContain('onnxruntime-genai: skipped, because it is not installed.');
  // One row is no chart.
  expect(charts.map(({ path }) => path)).toEqual(['benchmarks/ttft-1.svg']);
  expect(page!.content).toContain('![ttft](benchmarks/ttft-1.svg)');
  expect(charts[0]!.content).toContain('cold &#60;&#38;&#62;');
  expect(charts[0]!.content).not.toContain('<&>');
});
