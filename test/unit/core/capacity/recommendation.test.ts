import { describe, expect, it } from 'vitest';
import { type FleetLoad, recommend } from '../../../../src/core/capacity/recommendation.js';

const idle = { requests: 0, backlogMs: 0 };
const LOAD: FleetLoad = {
  ...{ serving: 4, replicas: 2, sequencesEach: 8, now: idle, busiest: idle },
  memory: { distinctBytes: 100, budgetBytesEach: 100 },
};
const wanted = (change: Partial<FleetLoad>) => recommend({ ...LOAD, ...change }).wanted;

describe('the recommended number of workers', () => {
  it('grows at once with requests and with prompts that wait', () => {
    expect(wanted({ now: { requests: 30, backlogMs: 0 } })).toBe(5);
    expect(wanted({ now: { requests: 0, backlogMs: 5_500 } })).toBe(6);
    expect(wanted({ now: { requests: 24, backlogMs: 4_000 } })).toBe(4);
  });

  it('grows to at most twice the fleet at once', () => {
    const { wanted, why } = recommend({ ...LOAD, now: { requests: 1_000, backlogMs: 0 } });
    expect(wanted).toBe(8);
    expect(why.at(-1)).toBe('more are needed: 167; 8 first, because a fleet grows to at most 2 times its size at once');
  });

  it('shrinks by one worker, and only when the busiest minute does without it', () => {
    expect(wanted({})).toBe(3);
    expect(wanted({ busiest: { requests: 20, backlogMs: 0 } })).toBe(4);
    expect(wanted({ busiest: { requests: 18, backlogMs: 0 } })).toBe(3);
    expect(recommend({ ...LOAD, busiest: null })).toMatchObject({
      wanted: 4,
      why: expect.arrayContaining(['none may leave yet: the load is not known for long enough']),
    });
  });

  it('keeps as many as the copies and the blocks need', () => {
    expect(wanted({ serving: 2 })).toBe(2);
    expect(wanted({ replicas: 4 })).toBe(4);
    expect(wanted({ memory: { distinctBytes: 301, budgetBytesEach: 100 } })).toBe(4);
    expect(wanted({ memory: { distinctBytes: 300, budgetBytesEach: 100 } })).toBe(3);
    expect(wanted({ memory: null })).toBe(3);
    expect(wanted({ serving: 0, sequencesEach: 0 })).toBe(2);
    expect(wanted({ serving: 1 })).toBe(2);
  });
});
