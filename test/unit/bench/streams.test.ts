import { describe, expect, it } from 'vitest';
import type { Streamed } from '../../../bench/first-token.js';
import { decodeRate, gapsWithin, quantile, wholeRate } from '../../../bench/streams.js';

/** A stream whose chunks came at these times, one token each if not said otherwise. */
function stream(startMs: number, times: readonly number[], completionTokens = times.length): Streamed {
  const chunkMs = times.map((ms) => ms - startMs);
  const cached = { local: 0, remote: 0, computed: 0 };
  return {
    startMs,
    chunkMs,
    ttftMs: chunkMs[0]!,
    completionTokens,
    worker: 'w',
    cached,
    coordinatorMs: 0,
    prefixMs: 0,
  };
}

describe('streams that ran together', () => {
  it('decode as fast as their tokens come, of one alone from the first to the last', () => {
    expect(decodeRate([stream(0, [500, 600, 700, 800])])).toBeCloseTo(10);
    expect(wholeRate([stream(0, [500, 600, 700, 800])])).toBeCloseTo(5);
  });

  it('are timed while all of them decode', () => {
    const early = stream(0, [100, 200, 300, 400]);
    const late = stream(50, [250, 350, 450, 550]);
    // From 250 to 400: two tokens of the first, one of the second.
    expect(decodeRate([early, late])).toBeCloseTo(20);
    // From 0 to 550: eight tokens.
    expect(wholeRate([early, late])).toBeCloseTo(8000 / 550);
    expect(() => decodeRate([early, stream(0, [500, 600])])).toThrow('no time in which all of them decode');
  });

  it('count tokens that came in one chunk', () => {
    expect(decodeRate([stream(0, [0, 100, 200], 5)])).toBeCloseTo(20);
  });

  it('let wait between tokens: gaps that touch the time in question, of each stream', () => {
    const streams = [stream(0, [0, 10, 30, 60, 100]), stream(0, [5, 45, 46])];
    expect(gapsWithin(streams, 20, 50)).toEqual([20, 30, 40, 1]);
  });

  it('have quantiles', () => {
    expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5);
    expect(quantile([7], 0)).toBe(7);
  });
});
