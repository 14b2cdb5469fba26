import type { FleetApi } from '../../fleet/fleet-api.js';
import { RecallLoad } from '../../fleet/recall-load.js';
import { atLeast, atMost, type Fault, NO_HARM } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { serving } from '../views.js';

const PREFIXES = 60;
const NEWCOMER = 'newcomer';
const METRIC = /^shoal_rebalance_moved_blocks_total/;
const QUIET_MS = 8_000;

/** A worker joins a loaded fleet. */
export const join: Fault = {
  name: 'join',
  row: 'a worker joins under load',
  passesWhen: 'failed requests 0; moved blocks at most 1.2 times the ideal share: the blocks that it becomes a home of',
  bounds: { ...NO_HARM, moved_over_ideal: atMost(1.2), received_share: atLeast(0.9) },
  needs: [],
  expectedS: 40,
  async run(context) {
    const fleet = await context.members();
    const prefixes = await Prefixes.compute(fleet.api, PREFIXES, { seed: 10_000 });
    await context.until('all blocks have two copies', 60_000, () => prefixes.have(2));
    const load = context.load(new RecallLoad(fleet.api, 2, 100, 200));
    await context.pause(2_000);
    const before = await fleet.sum(METRIC);
    const prompts = [...prefixes.prompts.map(({ prompt }) => prompt), ...load.prompts()];
    await fleet.startWorker(NEWCOMER);
    await context.until('it serves', 10_000, async () => serving(await fleet.api.workers()).length === 4);
    const received = async () => (await owed(fleet.api, prompts)).missing === 0;
    const moved_ms = await context.timeUntil(30_000, received);
    await context.pause(QUIET_MS);
    const { due, missing } = await owed(fleet.api, prompts);
    const moved_blocks = (await fleet.sum(METRIC)) - before;
    return {
      ...(await context.harm(load)),
      moved_ms,
      moved_blocks,
      ideal_blocks: due,
      moved_over_ideal: moved_blocks / due,
      received_share: (due - missing) / due,
    };
  },
};

/** The number of blocks that the newcomer is a home of, and of the ones that it lacks. */
async function owed(api: FleetApi, prompts: readonly string[]): Promise<{ due: number; missing: number }> {
  const places = await Promise.all(prompts.map((prompt) => api.blocks(prompt)));
  const due = places.flat().filter(({ homes }) => homes.includes(NEWCOMER));
  return { due: due.length, missing: due.filter(({ holders }) => !holders.includes(NEWCOMER)).length };
}
