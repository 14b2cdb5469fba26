import { describe, expect, it } from 'vitest';
import { LoadWatch } from '../../../../coordinator/advice/load-watch.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { Member } from '../../../../src/core/member.js';
import { member } from '../support/scripted-fleet.js';

describe('the load of a fleet', () => {
  const MINUTE_MS = 60_000;
  let workers: Member[];

  function watch(): { clock: SimulatedClock; load: LoadWatch } {
    const clock = new SimulatedClock();
    const load = new LoadWatch({ clock, members: () => workers, holdings: { size: 1 }, replicas: 2 });
    load.start();
    return { clock, load };
  }
  const four = (running: number) => ['a', 'b', 'c', 'd'].map((id) => ({ ...member(id), running }));

  it('lets a worker go only after ten quiet minutes', async () => {
    workers = four(0);
    const { clock, load } = watch();
    await clock.advance(9 * MINUTE_MS);
    expect(load.recommendation().wanted).toBe(4);
    await clock.advance(MINUTE_MS);
    expect(load.recommendation().wanted).toBe(3);
    workers = four(6);
    await clock.advance(MINUTE_MS);
    workers = four(0);
    await clock.advance(9 * MINUTE_MS);
    expect(load.recommendation().wanted).toBe(4);
    await clock.advance(2 * MINUTE_MS);
    expect(load.recommendation().wanted).toBe(3);
    load.stop();
  });

  it('asks for more by the work of the last minute, that of a draining worker included', async () => {
    workers = [...four(8), { ...member('e'), state: 'draining', running: 8 }];
    const { clock, load } = watch();
    await clock.advance(MINUTE_MS);
    expect(load.recommendation()).toMatchObject({ serving: 4, wanted: 7 });
    workers = four(0).map((worker) => ({
      ...worker,
      queuedTokens: 1_000,
      rates: { ...worker.rates, computeMsPerToken: 2 },
    }));
    await clock.advance(MINUTE_MS);
    expect(load.recommendation().wanted).toBe(8);
    load.stop();
  });

  it('does not count memory where blocks are on disk', () => {
    workers = four(0).map((worker) => ({ ...worker, blockBytes: 10_000 }));
    const { load } = watch();
    expect(load.recommendation().wanted).toBe(8);
    workers = workers.map((worker) => ({ ...worker, disk: 'answers' as const }));
    expect(load.recommendation().wanted).toBe(4);
    load.stop();
  });
});
