import { describe, expect, it } from 'vitest';
import { PrefillRate } from '../../../src/engine/prefill-rate.js';

describe('the speed of prefill', () => {
  /** A clock that each run advances. */
  let nowMs = 0;
  const run = (rate: PrefillRate, ms: number, tokens: number) => {
    nowMs += ms;
    rate.add(ms, tokens, nowMs);
  };

  it('is not known during the warm-up, and is measured afterwards', () => {
    const rate = new PrefillRate(64);
    for (let i = 0; i < 4; i++) run(rate, 1_000, 512);
    expect([rate.msPerUnit, rate.ageMs(nowMs)]).toEqual([null, null]);
    run(rate, 128, 512);
    expect([rate.msPerUnit, rate.ageMs(nowMs + 5)]).toEqual([0.25, 5]);
  });

  it('is that of the fastest long run where nearly all runs are short, until a later one is measured', () => {
    const rate = new PrefillRate(64);
    run(rate, 1_024, 512);
    run(rate, 256, 512);
    const endMs = nowMs;
    run(rate, 64, 64);
    for (let i = 0; i < 24; i++) run(rate, 20, 40);
    expect(rate.msPerUnit).toBeNull();
    run(rate, 20, 40);
    expect([rate.msPerUnit, rate.ageMs(nowMs)]).toEqual([0.5, nowMs - endMs]);
    run(rate, 4_096, 1_024);
    expect(rate.msPerUnit).toBe(4);
  });

  it('is never that of short runs', () => {
    const rate = new PrefillRate(64);
    for (let i = 0; i < 1_000; i++) run(rate, 20, 40);
    expect([rate.msPerUnit, rate.ageMs(nowMs)]).toEqual([null, null]);
  });
});
