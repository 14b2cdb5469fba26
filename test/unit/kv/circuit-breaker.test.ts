import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../../../src/kv/circuit-breaker.js';

describe('a circuit breaker', () => {
  it('opens after failures in a row, lets one call try after a pause, and closes when that succeeds', () => {
    const breaker = new CircuitBreaker({ failures: 2, pauseMs: 100 });
    breaker.failed(0);
    breaker.succeeded();
    breaker.failed(0);
    expect([breaker.closed, breaker.enter(0)]).toEqual([true, true]);
    breaker.failed(10);
    expect([breaker.closed, breaker.enter(109)]).toEqual([false, false]);
    expect([breaker.enter(110), breaker.enter(110)]).toEqual([true, false]);
    breaker.failed(120);
    expect(breaker.enter(219)).toBe(false);
    expect(breaker.enter(220)).toBe(true);
    breaker.succeeded();
    expect([breaker.closed, breaker.enter(220), breaker.enter(220)]).toEqual([true, true, true]);
  });
});
