import { describe, expect, it } from 'vitest';
import type { Streamed } from '../../../bench/first-token.js';
import { decodeRate, gapsWithin, quantile, wholeRate } from '../../../bench/streams.js';

/** A stream whose chunks arrived at these times, by default with one token each. */
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

describe('concurrent streams', () => {
  it('have the decode rate from the first token to the last, for a single stream', () => {
    expect(decodeRate([stream(0, [500, 600, 700, 800])])).toBeCloseTo(10);
    expect(wholeRate([stream(0, [500, 600, 700, 800])])).toBeCloseTo(5);
  });

  it('have a decode rate while all of them decode', () => {
    const early = stream(0, [100, 200, 300, 400]);
    const late = stream(50, [250, 350, 450, 550]);
    // From 250 to 400 the first has two tokens and the second one.
    expect(decodeRate([early, late])).toBeCloseTo(20);
    // From 0 to 550 there are eight tokens.
    expect(wholeRate([early, late])).toBeCloseTo(8000 / 550);
    expect(() => decodeRate([early, stream(0, [500, 600])])).toThrow('no time in which all of them decode');
  });

  it('count all tokens of a chunk', () => {
    expect(decodeRate([stream(0, [0, 100, 200], 5)])).toBeCloseTo(20);
  });

  it('have gaps between tokens that overlap a time range', () => {
    const streams = [stream(0, [0, 10, 30, 60, 100]), stream(0, [5, 45, 46])];
    expect(gapsWithin(streams, 20, 50)).toEqual([20, 30, 40, 1]);
  });

  it('have quantiles', () => {
    expect(quantile([5, 1, 4, 2, 3], 0.5)).toBe(3);
    expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5);
    expect(quantile([7], 0)).toBe(7);
  });
});
