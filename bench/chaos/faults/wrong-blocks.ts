import type { UpFleet } from '../../fleet/up-fleet.js';
import type { ChaosContext } from '../context.js';
import { atLeast, atMost, type Fault } from '../fault.js';
import { Prefixes } from '../prefixes.js';
import { preloaded } from '../preloaded.js';
import { rowOf } from '../views.js';

const WORKERS = ['worker-1', 'worker-2', 'worker-3'];
const PREFIXES = 6;
const HITS = 24;
const QUARANTINED_WITHIN_MS = 20_000;

/** A member serves wrong blocks with digests that match them. */
export const wrongBlocks: Fault = {
  name: 'wrong-blocks',
  row: 'a member that serves wrong blocks with right digests',
  passesWhen: 'found by the audit, quarantined, named; answers right afterwards',
  bounds: {
    failed_requests: atMost(0),
    hits_until_quarantine: atMost(HITS),
    quarantined: atLeast(1),
    named: atLeast(1),
    innocent_quarantined: atMost(0),
    wrong_answers: atMost(0),
  },
  needs: [],
  expectedS: 15,
  async run(context) {
    const liar = context.pick(WORKERS);
    const args = ['--workers', String(WORKERS.length), '--replicas', '2', '--audit', '1/1'];
    const fleet = await context.up(args, { ...preloaded('lying-cache'), CHAOS_LIAR: liar });
    const honest = WORKERS.filter((id) => id !== liar);
    context.progress(`${liar} lies`);
    const prefixes = await Prefixes.compute(fleet, PREFIXES, { seed: 10_000, worker: liar });
    const asked = await askUntilQuarantined(context, fleet, prefixes, liar);
    const quarantined = (await isQuarantined(fleet, liar)) ? 1 : 0;
    let wrong_answers = 0;
    for (const id of honest) wrong_answers += await prefixes.wrong(id);
    const innocent = await Promise.all(honest.map((id) => isQuarantined(fleet, id)));
    return {
      ...asked,
      quarantined,
      named: isNamed(fleet.log, liar) ? 1 : 0,
      innocent_quarantined: innocent.filter((is) => is).length,
      wrong_answers,
    };
  },
};

/** Sends the liar's prompts to the honest workers. Resolves once the liar is quarantined, or after `HITS` hits. */
async function askUntilQuarantined(context: ChaosContext, fleet: UpFleet, prefixes: Prefixes, liar: string) {
  const honest = WORKERS.filter((id) => id !== liar);
  let failed_requests = 0;
  let hits = 0;
  for (let i = 0; i < HITS && !(await isQuarantined(fleet, liar)); i++) {
    const { prompt } = prefixes.prompts[i % PREFIXES]!;
    try {
      const { shoal } = await fleet.complete({ prompt }, { 'x-shoal-worker': honest[i % honest.length]! });
      if (shoal.cached.local + shoal.cached.remote > 0) hits++;
    } catch (error) {
      context.note(String(error));
      failed_requests++;
    }
  }
  const quarantine_ms = await context.timeUntil(QUARANTINED_WITHIN_MS, () => isQuarantined(fleet, liar));
  return { failed_requests, hits_until_quarantine: hits, quarantine_ms };
}

/** Whether a line of the log names the quarantined worker. */
function isNamed(log: string, liar: string): boolean {
  const lines = log.split('\n').filter((line) => line.includes('makes wrong blocks is quarantined'));
  return lines.some((line) => line.includes(liar));
}

async function isQuarantined(fleet: UpFleet, id: string): Promise<boolean> {
  return rowOf(await fleet.workers(), id).quarantined !== null;
}
