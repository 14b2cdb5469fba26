import { describe, expect, it } from 'vitest';
import { chosenWorker, corruptionOutcome, corruptWorkers, lasting } from '../../../console/chaos/disturbances.js';
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

  describe('that lets a worker send corrupt blocks', () => {
    const order: Happening = { at: 10_000, kind: 'disturbed', worker: 'w2', fault: 'corrupt', seconds: 5 };
    const refused = (worker: string, at: number): Happening => ({ at, kind: 'damaged', worker, from: 'w2' });

    it('lasts as long as was ordered', () => {
      expect([14_999, 15_000].map((now) => corruptWorkers([slowed, order], now))).toEqual([['w2'], []]);
    });

    it('tells who noticed, and that nobody could if no block was sent', () => {
      expect(corruptionOutcome([refused('w3', 12_000), refused('w1', 11_000), order], 20_000)).toBe(
        'w1 and w3 noticed the wrong bytes, and refused the blocks of w2.',
      );
      const outcome = (now: number) => corruptionOutcome([order, refused('w1', 9_000)], now);
      expect(outcome(12_000)).toBe('So far no other worker has been sent a block of w2.');
      expect(outcome(20_000)).toMatch(/^No other worker was sent a block of w2, so none was refused\./);
      expect([outcome(80_000), corruptionOutcome([slowed], 12_000)]).toEqual([null, null]);
    });
  });
});
