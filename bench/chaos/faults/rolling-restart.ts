import type { FleetApi } from '../../fleet/fleet-api.js';
import { pooled } from '../../fleet/fleet-api.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { serving } from '../views.js';

const PREFIXES = 16;

/** Every worker is stopped gracefully and started again, one after another. */
export const rollingRestart: Fault = {
  name: 'rolling-restart',
  row: 'rolling restart of all workers under load',
  passesWhen: 'failed requests 0; hit rate at least 80 % of before',
  bounds: { ...NO_HARM, hit_rate_share: atLeast(0.8) },
  needs: [],
  expectedS: 40,
  async run(context) {
    const fleet = await context.members();
    const prefixes = await Prefixes.compute(fleet.api, PREFIXES, { seed: 10_000 });
    await context.until('all blocks have two copies', 30_000, () => prefixes.have(2));
    const hit_rate_before = await hitRate(fleet.api, prefixes);
    const load = context.load(new RecallLoad(fleet.api, 3, 100));
    for (const id of fleet.workerIds) {
      context.progress(`restarting ${id}`);
      await fleet.members.get(id)!.stop();
      await fleet.startWorker(id);
      const all = async () => serving(await fleet.api.workers()).length === fleet.workerIds.length;
      await context.until('all workers serve again', 60_000, all);
      // As in a careful upgrade: the next worker stops only when the last one has its blocks again.
      await context.until('all blocks have two copies again', 60_000, () => prefixes.have(2));
    }
    const harm = await context.harm(load);
    const hit_rate_after = await hitRate(fleet.api, prefixes);
    return { ...harm, hit_rate_before, hit_rate_after, hit_rate_share: hit_rate_after / hit_rate_before };
  },
};

/** The share of the prompts' tokens that comes from a cache. */
async function hitRate(api: FleetApi, { prompts }: Prefixes): Promise<number> {
  const usages = await pooled(
    4,
    prompts.map(
      ({ prompt }) =>
        async () =>
          (await api.complete({ prompt })).usage,
    ),
  );
  const sum = (of: (usage: (typeof usages)[number]) => number) => usages.reduce((total, usage) => total + of(usage), 0);
  return sum((usage) => usage.prompt_tokens_details.cached_tokens) / sum((usage) => usage.prompt_tokens);
}
