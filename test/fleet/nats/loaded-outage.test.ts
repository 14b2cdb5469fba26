import { afterEach, describe, expect, it } from 'vitest';
import { chunksOf } from '../../../bench/fleet/chunks.js';
import { RecallLoad } from '../../../bench/fleet/recall-load.js';
import { recallPrompt, recallSheet } from '../../../bench/fleet/recall-sheet.js';
import { FleetWithoutNats, NATS_OUTAGES } from '../support/fleet-without-nats.js';

/** NATS is away while clients ask: the fleet serves as before, over its direct connections. `test/long` has the minute-long outages. */

const CLIENTS = 6;

describe('a fleet under load while NATS is away', () => {
  let held: FleetWithoutNats;
  afterEach(async () => {
    await held?.stop();
  });

  it.each(NATS_OUTAGES)('%s: a worker that is killed meanwhile costs no request', async (outage) => {
    held = await FleetWithoutNats.up(3);
    const { fleet } = held;
    const sheet = recallSheet(16, 6);
    const long = (seed: number) => {
      const prompt = recallPrompt(sheet, sheet.questions[seed]!.question);
      return { model: 'recall', prompt, max_tokens: 400, ignore_eos: true, temperature: 0.8, seed };
    };
    const seeds = [1, 2, 3, 4];
    const undisturbed = await Promise.all(
      seeds.map(async (seed) => (await fleet.complete(long(seed))).choices[0]!.text),
    );
    const before = await fleet.workers();
    const load = new RecallLoad(fleet, CLIENTS, 100);
    try {
      const streams = seeds.map(async (seed) => {
        let text = '';
        const response = await fleet.post('/v1/completions', { ...long(seed), stream: true });
        for await (const chunk of chunksOf(response)) text += chunk.choices[0]?.text ?? '';
        return text;
      });
      const texts = Promise.allSettled(streams);
      const busy = await fleet.until((all) => all.some(({ running }) => running > 0));
      const victim = busy.find(({ running }) => running > 0)!;
      const back = await held.loseNats(outage);
      if (outage === 'killed') await held.healthUntil('degraded');
      process.kill(victim.pid, 'SIGKILL');

      expect(await texts).toEqual(undisturbed.map((value) => ({ status: 'fulfilled', value })));
      await load.more(100);
      await back();
      const after = await fleet.until((all) => all.filter(({ state }) => state === 'serving').length === 3);
      const others = (rows: typeof before) => rows.filter(({ id }) => id !== victim.id).map(({ pid }) => pid);
      expect(others(after)).toEqual(others(before));
    } finally {
      await load.stop();
    }
    expect(load.failed).toEqual([]);
    expect(await load.wrong()).toEqual([]);
  });
});
