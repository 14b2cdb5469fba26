import { RecallLoad } from '../../fleet/recall-load.js';
import { type Namespace, SplitNetwork } from '../../fleet/split-network.js';
import type { ChaosContext } from '../context.js';
import { atMost, type Fault, NO_HARM } from '../fault.js';
import type { MemberFleet } from '../member-fleet.js';
import { Prefixes } from '../prefixes.js';
import { serving } from '../views.js';

const CUTS_MS = [1_000, 2_000, 3_000, 5_000, 10_000, 20_000];
const IDLE_CUTS_MS = [3_000, 10_000];
const FLAPS = 8;
const FLAP_MS = 700;
const ONE_VIEW_MS = 10_000;

const HALVES_CUTS_MS = [2_000, 10_000];

/** The members that are cut off, each in a separate network namespace. Members of a half lose contact with each other too. */
const CUT_OFF = {
  'a worker': ['worker-3'],
  'a coordinator': ['coordinator-3'],
  'half of the workers': ['worker-3', 'worker-4'],
  'half of the coordinators': ['coordinator-3', 'coordinator-4'],
  'half of the fleet': ['worker-3', 'worker-4', 'coordinator-3', 'coordinator-4'],
} as const;
type Who = keyof typeof CUT_OFF;

/** The isolated members of one case, and the duration; a flapping link is cut and healed repeatedly. */
interface Case {
  readonly who: Who;
  readonly ms: number | 'flapping';
  readonly loaded: boolean;
}

const CASES: readonly Case[] = [
  ...(['a worker', 'a coordinator', 'half of the workers'] as const).flatMap((who) => [
    ...CUTS_MS.map((ms) => ({ who, ms, loaded: true })),
    ...IDLE_CUTS_MS.map((ms) => ({ who, ms, loaded: false })),
    { who, ms: 'flapping' as const, loaded: true },
  ]),
  ...(['half of the coordinators', 'half of the fleet'] as const).flatMap((who) => [
    ...HALVES_CUTS_MS.map((ms) => ({ who, ms, loaded: true })),
    { who, ms: 10_000, loaded: false },
    { who, ms: 'flapping' as const, loaded: true },
  ]),
];

/** Members lose contact with all others at once. */
export const isolation: Fault = {
  name: 'isolation',
  row: 'one worker, or one coordinator, cut off from all others for 1 / 2 / 3 / 5 / 10 / 20 s, idle and under load; half of the workers, of the coordinators or of both cut off; a link that flaps every 0.7 s',
  passesWhen:
    'no healthy process ends, none loses its blocks; failed requests 0, except requests that only the isolated member had; it rejoins in the same process; one view within 10 s of healing',
  bounds: {
    ...NO_HARM,
    processes_ended: atMost(0),
    lost_blocks: atMost(0),
    other_incarnations: atMost(0),
    one_view_ms: atMost(ONE_VIEW_MS),
  },
  needs: ['namespaces'],
  expectedS: 470,
  async run(context) {
    const network = context.life.use(new SplitNetwork(), (made) => made.close());
    const cut = Object.fromEntries(CUT_OFF['half of the fleet'].map((id) => [id, network.add()]));
    const fleet = await context.members({ workers: 4, coordinators: 4, address: network.address, places: cut });
    const prefixes = await Prefixes.compute(fleet.api, 12, { seed: 10_000 });
    await context.until('all blocks have two copies', 30_000, () => prefixes.have(2));
    const figures = {
      requests: 0,
      failed_requests: 0,
      wrong_answers: 0,
      lost_blocks: 0,
      other_incarnations: 0,
      one_view_ms: 0,
    };
    for (const one of CASES) {
      const seen = await isolate(
        context,
        fleet,
        one,
        CUT_OFF[one.who].map((id) => cut[id]!),
      );
      context.progress(`${one.who}, ${one.ms}, ${one.loaded ? 'loaded' : 'idle'}: ${JSON.stringify(seen)}`);
      figures.requests += seen.requests;
      figures.failed_requests += seen.failed_requests;
      figures.wrong_answers += seen.wrong_answers;
      figures.other_incarnations += seen.other_incarnations;
      figures.one_view_ms = Math.max(figures.one_view_ms, seen.one_view_ms);
      figures.lost_blocks += (await prefixes.copies()).filter((copies) => copies === 0).length;
    }
    return { cases: CASES.length, ...figures, processes_ended: endedIn(context, fleet) };
  },
};

async function isolate(context: ChaosContext, fleet: MemberFleet, { ms, loaded }: Case, places: readonly Namespace[]) {
  const before = await fleet.api.workers();
  const load = loaded ? context.load(new RecallLoad(fleet.api, 2, 100, 50)) : null;
  if (load) await context.pause(500);
  const cutFor = async (time: number) => {
    for (const place of places) place.cut();
    await context.pause(time);
    for (const place of places) place.heal();
  };
  if (ms === 'flapping') {
    for (let i = 0; i < FLAPS; i++) {
      await cutFor(FLAP_MS);
      await context.pause(FLAP_MS);
    }
  } else await cutFor(ms);
  const one_view_ms = await context.timeUntil(3 * ONE_VIEW_MS, () => oneView(fleet, before.length));
  const after = await fleet.api.workers();
  const incarnations = new Set(after.map(({ id, incarnation }) => `${id} ${incarnation}`));
  const harm = load ? await context.harm(load) : { requests: 0, failed_requests: 0, wrong_answers: 0 };
  return {
    requests: harm.requests!,
    failed_requests: harm.failed_requests!,
    wrong_answers: harm.wrong_answers!,
    other_incarnations: before.filter(({ id, incarnation }) => !incarnations.has(`${id} ${incarnation}`)).length,
    one_view_ms,
  };
}

/** Whether all coordinators see all workers serve, on the same ring. */
async function oneView(fleet: MemberFleet, workers: number): Promise<boolean> {
  const views = await Promise.all(fleet.apis.map((api) => api.fleet()));
  return views.every((view) => serving(view.workers).length === workers && view.epoch === views[0]!.epoch);
}

function endedIn(context: ChaosContext, fleet: MemberFleet): number {
  const ended = [...fleet.members].filter(([, { alive }]) => !alive);
  for (const [id, { lines }] of ended) context.note(`${id} ended: ${lines.at(-1) ?? ''}`);
  return ended.length;
}
