import { describe, expect, test } from 'vitest';
import { afterCrash, type RestartPolicy } from '../../../src/actors/restart-policy.js';

const policy: RestartPolicy = { restarts: 4, windowMs: 1_000, backoffMs: 10, ceilingMs: 50 };

describe('after a crash', () => {
  test.each<[string, number[], number, ReturnType<typeof afterCrash>]>([
    ['the first pause is the shortest', [], 5, { kind: 'restart', afterMs: 10, crashesMs: [5] }],
    ['pauses double', [1], 5, { kind: 'restart', afterMs: 20, crashesMs: [1, 5] }],
    ['and double again', [1, 2], 5, { kind: 'restart', afterMs: 40, crashesMs: [1, 2, 5] }],
    ['up to the ceiling', [1, 2, 3], 5, { kind: 'restart', afterMs: 50, crashesMs: [1, 2, 3, 5] }],
    ['one crash too many in the window is the last', [1, 2, 3, 4], 5, { kind: 'giveUp', crashesMs: [1, 2, 3, 4, 5] }],
    [
      'crashes before the window do not count',
      [1, 2, 3, 4],
      1_004,
      { kind: 'restart', afterMs: 10, crashesMs: [1_004] },
    ],
    ['nor are they remembered', [1, 900], 1_002, { kind: 'restart', afterMs: 20, crashesMs: [900, 1_002] }],
  ])('%s', (_name, crashesMs, nowMs, decision) => {
    expect(afterCrash(policy, crashesMs, nowMs)).toEqual(decision);
  });

  test('a policy without restarts gives up at once', () => {
    expect(afterCrash({ ...policy, restarts: 0 }, [], 5).kind).toBe('giveUp');
  });
});
