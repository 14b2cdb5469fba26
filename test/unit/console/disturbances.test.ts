import { describe, expect, it } from 'vitest';
import { chosenWorker, lasting } from '../../../console/chaos/disturbances.js';
import { happeningText, isTrouble } from '../../../console/parts/words.js';
import type { Happening } from '../../../src/console/feed-messages.js';

describe('a disturbance', () => {
  const slowed: Happening = { at: 10_000, kind: 'disturbed', worker: 'w2', fault: 'slow', seconds: 5 };
  const killed: Happening = { at: 11_000, kind: 'disturbed', worker: 'w1', fault: 'kill' };

  it('is told of as an event', () => {
    expect([slowed, killed].map(happeningText)).toEqual([
      'an operator slowed w2 down for 5 s',
      'an operator killed w1',
    ]);
    expect(isTrouble(killed)).toBe(true);
  });

  it('counts down while it lasts', () => {
    const left = (now: number) => lasting([killed, slowed], now).map((each) => each.left);
    expect([left(10_000), left(12_500), left(15_000)]).toEqual([[5], [3], []]);
  });

  it('of a worker that has died does not move on to another worker by itself', () => {
    expect([chosenWorker(null, ['w1', 'w2']), chosenWorker('w2', ['w1']), chosenWorker(null, [])]).toEqual([
      ...['w1', 'w2', null],
    ]);
  });
});
