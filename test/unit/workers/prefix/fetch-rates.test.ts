import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { FLEET_WORKERS } from '../../../../src/limits.js';
import { FetchRates } from '../../../../workers/prefix/fetch-rates.js';

describe('rates of fetching', () => {
  it('are the rates of the peer, else the average of all', () => {
    const rates = new FetchRates(new SimulatedClock());
    expect(rates.of('a')).toBeNull();
    rates.note('a', 1000, 10);
    expect(rates.of('a')).toBe(100);
    expect(rates.of('b')).toBe(100);
    rates.note('b', 300, 1);
    expect(rates.of('a')).toBe(100);
    expect(rates.of('b')).toBe(300);
    expect(rates.overall).toBeCloseTo(0.7 * 100 + 0.3 * 300);
  });

  it('follow the measurements', () => {
    const rates = new FetchRates(new SimulatedClock());
    rates.note('a', 1000, 1);
    for (let i = 0; i < 20; i++) rates.note('a', 10, 1);
    expect(rates.of('a')).toBeLessThan(12);
  });

  it('forget a slow peer, even if it made all look slow', async () => {
    const clock = new SimulatedClock();
    const rates = new FetchRates(clock);
    rates.note('slow', 1, 10_000);
    rates.note('late', 0, 10_000);
    expect(rates.of('other')).toBeLessThan(0.001);
    expect(rates.of('late')).toBeLessThan(0.001);
    await clock.advance(31_000);
    expect(rates.of('slow')).toBeNull();
    expect(rates.of('late')).toBeNull();
    expect(rates.of('other')).toBeNull();
    expect(rates.overall).toBeNull();
    rates.note('slow', 500, 1);
    expect(rates.of('slow')).toBe(500);
    expect(rates.overall).toBe(500);
  });

  it('do not count a peer that gave no block in the average', () => {
    const rates = new FetchRates(new SimulatedClock());
    rates.note('late', 0, 10);
    expect(rates.overall).toBeNull();
  });

  it('are kept of so many peers as a fleet has', () => {
    const rates = new FetchRates(new SimulatedClock());
    rates.note('first', 1, 1);
    for (let i = 0; i < FLEET_WORKERS - 1; i++) rates.note(`worker ${i}`, 1000, 1);
    expect(rates.of('first')).toBe(1);
    rates.note('last', 7, 1);
    expect(rates.of('first')).not.toBe(1);
    expect(rates.of('worker 0')).toBe(1000);
    rates.forget('last');
    expect(rates.of('last')).not.toBe(7);
  });
});
