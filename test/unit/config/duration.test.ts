import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../../src/config/duration.js';

describe('a duration', () => {
  it.each([
    ['500ms', 500],
    ['20s', 20_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    [' 5 M ', 300_000],
    ['0s', 0],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', '20', 's', '-1s', '1e3s', '1d', '1s2', '.5s'])('is not %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});
