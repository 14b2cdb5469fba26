import { describe, expect, it } from 'vitest';
import { BarReport, barText, LineReport } from '../../../cli/pull-report.js';
import { SimulatedClock } from '../../../src/clock.js';

const MiB = 2 ** 20;
const part = (doneBytes: number) => ({ type: 'progress', path: 'a.onnx', doneBytes, totalBytes: 100 * MiB }) as const;

describe('the report of a download', () => {
  it('is a bar on a terminal', async () => {
    const clock = new SimulatedClock();
    const written: string[] = [];
    const report = new BarReport((text) => written.push(text), clock);
    report.onEvent({ ...part(20 * MiB), type: 'started' });
    await clock.advance(2_000);
    report.onEvent(part(60 * MiB));
    report.onEvent({ type: 'finished', path: 'a.onnx', totalBytes: 100 * MiB });
    expect(written[1]).toBe('\r\x1b[K  [##############..........] 60 %  a.onnx  60 MiB of 100 MiB  20 MiB/s');
    expect(written[2]).toBe('\r\x1b[K  downloaded a.onnx, 100 MiB\n');
  });

  it('is a line now and then elsewhere', async () => {
    const clock = new SimulatedClock();
    const lines: string[] = [];
    const report = new LineReport((text) => lines.push(text), clock);
    report.onEvent({ type: 'started', path: 'config.json', doneBytes: 0, totalBytes: 700 });
    report.onEvent({ ...part(20 * MiB), type: 'started' });
    report.onEvent(part(30 * MiB));
    await clock.advance(5_000);
    report.onEvent(part(40 * MiB));
    report.onEvent(part(50 * MiB));
    expect(lines).toEqual([
      'downloading a.onnx, 100 MiB, 20 MiB already here',
      'downloading a.onnx: 40 MiB of 100 MiB',
    ]);
  });

  it('shows an empty file as complete, and no control characters of a path', () => {
    expect(barText('a\x1b[2Jb', 0, 0, 0)).toBe('  [########################] 100 %  a?[2Jb  0 B of 0 B');
  });
});
