import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { Refused } from '../../../../src/errors.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { ANSWER_MS, WorkerFaults } from '../../../../workers/chaos/worker-faults.js';

function scene() {
  const clock = new SimulatedClock();
  return { clock, faults: new WorkerFaults({ clock, log: SILENT_LOG }) };
}

describe('the faults of a worker', () => {
  it('begin when the order has been answered, and end by themselves', async () => {
    const { clock, faults } = scene();
    const now = () => [faults.cut.active, faults.corruption.active];
    faults.begin('cut-off', 5, 'coordinator-1');
    faults.begin('corrupt', 2, 'coordinator-1');
    expect(now()).toEqual([false, false]);
    await clock.advance(ANSWER_MS);
    expect(now()).toEqual([true, true]);
    await clock.advance(2_000);
    expect(now()).toEqual([true, false]);
    await clock.advance(3_000);
    expect(now()).toEqual([false, false]);
  });

  it('are refused while the worker has them, from the order on', async () => {
    const { clock, faults } = scene();
    faults.begin('cut-off', 1, 'coordinator-1');
    expect(() => faults.begin('cut-off', 60, 'coordinator-2')).toThrow(Refused);
    await clock.advance(ANSWER_MS + 999);
    expect(() => faults.begin('cut-off', 60, 'coordinator-2')).toThrow(/'cut-off': this worker has it already/);
    await clock.advance(1);
    faults.begin('cut-off', 60, 'coordinator-2');
  });

  it('are over when the worker stops, so that it can say goodbye', async () => {
    const { clock, faults } = scene();
    faults.begin('cut-off', 60, 'coordinator-1');
    faults.begin('corrupt', 60, 'coordinator-1');
    await clock.advance(ANSWER_MS);
    faults.stop();
    expect([faults.cut.active, faults.corruption.active]).toEqual([false, false]);
    faults.begin('cut-off', 60, 'coordinator-1');
    faults.stop();
    await clock.advance(60_000);
    expect(faults.cut.active).toBe(false);
  });
});
