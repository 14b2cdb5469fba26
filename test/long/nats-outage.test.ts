import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { RecallLoad } from '../../bench/fleet/recall-load.js';
import { type RecallSheet, recallSheet } from '../../bench/fleet/recall-sheet.js';
import type { Fleet } from '../fleet/support/fleet.js';
import { FleetWithoutNats, NATS_OUTAGES } from '../fleet/support/fleet-without-nats.js';

/** NATS is away for a minute while clients ask: the rate and the share of cached tokens, beside those before and afterwards. */

const CLIENTS = 6;
const WARM_UP_MS = 6_000;
const UNDISTURBED_MS = 10_000;
const OUTAGE_MS = { stopped: 60_000, killed: 20_000 };
const LEAST_SHARE = 0.9;
/** Of the sheet that each outage sees first. */
const SEEDS = { stopped: 90, killed: 91 };

describe('a fleet under load while NATS is away', () => {
  let held: FleetWithoutNats;
  afterEach(async () => {
    await held?.stop();
  });

  it('for a minute, and again: answers as fast as before, all right, and keeps its workers', async () => {
    held = await FleetWithoutNats.up(2);
    const { fleet } = held;
    const pids = await fleet.pids();
    const load = new RecallLoad(fleet, CLIENTS, 100);
    try {
      await pause(WARM_UP_MS);
      let before = await load.during(pause(UNDISTURBED_MS));
      for (const outage of NATS_OUTAGES) {
        const directBefore = await fleet.calls('direct');

        const back = await held.loseNats(outage);
        const during = load.during(pause(OUTAGE_MS[outage]));
        const seen = await held.healthUntil('degraded');
        const holders = await holdersLearned(fleet, recallSheet(48, SEEDS[outage]), during);
        const { requests, requestsPerCpuSecond, cachedShare } = await during;
        seen.push(await held.health());
        const direct = (await fleet.calls('direct')) - directBefore;
        await back();
        seen.push(...(await held.healthUntil('ok')));
        const after = await load.during(pause(UNDISTURBED_MS));

        expect(seen.filter(({ http }) => http !== 200)).toEqual([]);
        // Before the outage was noticed, until NATS was back, and afterwards.
        expect(seen.map(({ degraded }) => degraded ?? '').join(' ')).toMatch(/^ *(nats ?)+ *$/);
        // All but those that were under way when the outage began.
        expect(direct).toBeGreaterThanOrEqual(requests - CLIENTS);
        expect(holders).toBe(2);
        expect(await fleet.pids()).toEqual(pids);
        expect(load.failed).toEqual([]);
        // Other work of the machine also slows a fleet by the caches that it shares.
        const undisturbed = Math.min(before.requestsPerCpuSecond, after.requestsPerCpuSecond);
        expect(requestsPerCpuSecond).toBeGreaterThan(LEAST_SHARE * undisturbed);
        expect(cachedShare).toBeGreaterThan(LEAST_SHARE * before.cachedShare);
        before = after;
      }
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  }, 300_000);
});

/** Has a new sheet computed, and counts the workers that the coordinator comes to know as its holders, before `end` resolves: 2 at most. */
async function holdersLearned(fleet: Fleet, { notes }: RecallSheet, end: Promise<unknown>): Promise<number> {
  let over = false;
  void end.then(() => {
    over = true;
  });
  await fleet.complete({ prompt: notes });
  let holders = 0;
  while (holders < 2 && !over) holders = (await fleet.holders(notes)).size;
  return holders;
}
