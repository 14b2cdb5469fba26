import { expect, test } from 'vitest';
import { gpuTable, utilisationOf } from '../../../bench/gpu-report.js';
import { reportRatio, reportRow } from '../../../bench/report.js';

test('takes the mean and the greatest utilisation, and skips lines that are no samples', () => {
  expect(utilisationOf('10, 500\n[N/A], 9\n30, 700\n')).toEqual({ meanPercent: 20, maxPercent: 30, maxMemoryMiB: 700 });
  expect(utilisationOf('')).toBeNull();
});

test('shows figures, missed bounds, and what was skipped', () => {
  const report = {
    name: 'device',
    machine: '',
    rows: [reportRow('cold', 'ms', [10, 12, 20])],
    ratios: [reportRatio('apart', [0.2], { kind: 'at most', value: 0.05 }, 'nats')],
  };
  const utilisation = { meanPercent: 20, maxPercent: 30, maxMemoryMiB: 700 };
  const cuda = { device: 'cuda', contract: { passed: 21, failed: 0 }, reports: [report], utilisation };
  const table = gpuTable({
    ...{ gpu: 'A GPU', adapter: '', machine: 'a machine', seconds: 99, devices: [cuda] },
    skipped: [{ what: 'webgpu', why: 'no driver' }],
  });
  expect(table).toContain('| cuda | contract of devices | 21 passed, 0 failed |  |');
  expect(table).toContain('| cuda | device: cold | 12.0 ms | 10.0 to 20.0 |');
  expect(table).toContain('| cuda | device: apart | 0.200 nats (bound missed: at most 0.05) |  |');
  expect(table).toContain('| cuda | utilisation of the GPU | 20.0 % | at most 30 %, 700 MiB |');
  expect(table).toMatch(/Skipped:\n\n- webgpu: no driver$/);
  expect(gpuTable({ gpu: '', adapter: '', machine: '', seconds: 1, devices: [], skipped: [] })).toMatch(/Nothing was/);
});
