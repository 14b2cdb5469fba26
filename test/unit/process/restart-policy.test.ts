import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RestartPolicy } from '../../../src/process/restart-policy.js';

const bounds = { restarts: 4, windowMs: 1_000, backoffMs: 10, ceilingMs: 35 };

describe('the restart policy', () => {
  it('waits twice as long each time, up to the ceiling, then gives up', () => {
    const policy = new RestartPolicy(bounds);
    expect([0, 1, 2, 3, 4].map((ms) => policy.next(ms))).toEqual([10, 20, 35, 35, null]);
  });

  it('forgets deaths that are older than the window', () => {
    const policy = new RestartPolicy(bounds);
    for (const ms of [0, 1, 2, 3]) policy.next(ms);
    expect(policy.next(1_000)).toBe(35);
    expect(policy.next(10_000)).toBe(10);
  });

  it('never allows more restarts within any window than the limit', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 60 }), (gaps) => {
        const policy = new RestartPolicy(bounds);
        let nowMs = 0;
        const allowed: number[] = [];
        for (const gap of gaps) {
          nowMs += gap;
          if (policy.next(nowMs) !== null) allowed.push(nowMs);
        }
        for (const fromMs of allowed) {
          const within = allowed.filter((ms) => ms >= fromMs && ms < fromMs + bounds.windowMs);
          expect(within.length).toBeLessThanOrEqual(bounds.restarts);
        }
      }),
    );
  });
});
