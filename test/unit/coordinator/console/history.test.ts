import { describe, expect, it } from 'vitest';
import { HISTORY_STEP_MS, HISTORY_STEPS, History } from '../../../../coordinator/console/history.js';

const LEVELS = { running: 1, waiting: 2, serving: 3, blocks: 4, below: 5, bytes: 6 };

/** Of one worker. */
const NEWS = {
  ...{ worker: 'w1', received: [], fetchedBytes: 64, copiedBytes: 32 },
  ...{ evicted: 0, damaged: 1, right: 2, wrong: 0, found: [] },
};

describe('the history', () => {
  it('has counts a second, levels, and percentiles of the step', () => {
    const history = new History();
    history.endStep(1_000, LEVELS);
    for (const ms of [10, 30, 20]) history.first(ms);
    history.started({ local: 64, remote: 32, computed: 8 }, 4);
    history.generated(10);
    history.ended('done');
    history.ended('failed');
    for (const ms of [5, 9]) history.next(ms);
    for (const evicted of [3, 1]) history.active({ ...NEWS, evicted });
    history.endStep(1_000 + HISTORY_STEP_MS, LEVELS);
    const { at, series } = history.since(0);
    expect(at).toEqual([1_000, 1_000 + HISTORY_STEP_MS]);
    const last = Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.at(-1)]));
    expect(last).toEqual({
      ...LEVELS,
      ...{ requests: 1, failed: 0.5, local: 32, remote: 16, computed: 4, generated: 5 },
      ...{ ttft_p50: 20, ttft_p95: 30, queue_p50: 4, itl_p50: 9, itl_p95: 9 },
      ...{ fetched_bytes: 64, copied_bytes: 32, evicted: 2, damaged: 1, audits_right: 2, audits_wrong: 0 },
    });
    expect(series.ttft_p50).toEqual([null, 20]);
    // No worker told of itself in the first step.
    expect(series.evicted).toEqual([null, 2]);
    expect(history.since(1_000).at).toEqual([1_000 + HISTORY_STEP_MS]);
  });

  it('keeps an hour, the latest', () => {
    const history = new History();
    for (let i = 1; i <= HISTORY_STEPS + 3; i++) history.endStep(i * HISTORY_STEP_MS, { ...LEVELS, running: i });
    const { at, series } = history.since(0);
    expect([at.length, at[0], at.at(-1)]).toEqual([
      HISTORY_STEPS,
      4 * HISTORY_STEP_MS,
      (HISTORY_STEPS + 3) * HISTORY_STEP_MS,
    ]);
    expect([series.running[0], series.running.at(-1)]).toEqual([4, HISTORY_STEPS + 3]);
  });
});
