import { atMost, type Fault } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import type { WireCondition } from '../wires.js';

const PREFIXES = 12;
const LEAST_MS = 15_000;
const MOST_MS = 120_000;
const RESTORED_MS = 30_000;
const CUTS: readonly WireCondition[] = [{ kind: 'reset' }, { kind: 'silent' }];

/** Two workers cannot reach each other while they become homes of each other's prefixes. */
export const unreachablePair: Fault = {
  name: 'unreachable-pair',
  row: 'two workers that cannot reach each other for 15 to 120 s (reset and drop) while new prefixes are computed',
  passesWhen: 'R for all within 30 s of healing, the metric 0',
  bounds: {
    failed_requests: atMost(0),
    wrong_answers: atMost(0),
    restored_ms: atMost(RESTORED_MS),
    under_replicated_blocks: atMost(0),
  },
  needs: ['addresses'],
  expectedS: 180,
  async run(context) {
    const fleet = await context.members({ proxied: true });
    const [a, b] = fleet.workerIds as [string, string];
    let restored_ms = 0;
    let wrong_answers = 0;
    let single_copies = 0;
    for (const [i, cut] of CUTS.entries()) {
      fleet.wires.setBoth(a, b, cut);
      const ms = context.between(LEAST_MS, MOST_MS);
      context.progress(`${cut.kind} for ${ms} ms`);
      const startMs = performance.now();
      const prefixes = await Prefixes.compute(fleet.api, PREFIXES, { seed: 10_000 + 1_000 * i });
      await context.pause(Math.max(0, ms - (performance.now() - startMs)));
      single_copies += (await prefixes.copies()).filter((copies) => copies < 2).length;
      fleet.wires.heal();
      restored_ms = Math.max(restored_ms, await context.timeUntil(2 * RESTORED_MS, () => prefixes.have(2)));
      wrong_answers += await prefixes.wrong();
    }
    await context.timeUntil(10_000, async () => (await fleet.sum(/^shoal_under_replicated_blocks /)) === 0);
    const under_replicated_blocks = await fleet.sum(/^shoal_under_replicated_blocks /);
    return { failed_requests: 0, wrong_answers, single_copies, restored_ms, under_replicated_blocks };
  },
};
