import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../../../src/clock.js';
import { REPAIR_SHARE, RepairShare } from '../../../../workers/replication/repair-share.js';

/** The share of the transfer rate that repairs take. */

describe('the share of repairs', () => {
  it('is kept on average while requests run, however long each transfer takes', async () => {
    const clock = new SimulatedClock();
    const share = new RepairShare(clock);
    share.watch(() => true);
    let transferringMs = 0;
    for (const tookMs of [10, 200, 1, 50, 400, 3]) {
      expect(share.waitMs).toBe(0);
      await clock.advance(tookMs);
      share.note(tookMs);
      transferringMs += tookMs;
      await clock.advance(share.waitMs);
    }
    expect(transferringMs / clock.now()).toBeCloseTo(REPAIR_SHARE);
  });

  it('is kept for transfers at the same time, too', async () => {
    const clock = new SimulatedClock();
    const share = new RepairShare(clock);
    share.watch(() => true);
    await clock.advance(100);
    share.note(100);
    share.note(100);
    expect(share.waitMs).toBe(2 * (100 / REPAIR_SHARE - 100));
  });

  it('is the whole bandwidth without requests, and transfers then delay none later', async () => {
    const clock = new SimulatedClock();
    const share = new RepairShare(clock);
    let running = false;
    share.watch(() => running);
    for (let i = 0; i < 100; i++) share.note(1_000);
    expect(share.waitMs).toBe(0);
    running = true;
    expect(share.waitMs).toBe(0);
    share.note(1_000);
    expect(share.waitMs).toBe(1_000 / REPAIR_SHARE - 1_000);
    running = false;
    expect(share.waitMs).toBe(0);
  });
});
