import type { ActorSystem } from '../../src/actors/system.js';
import type { Clock } from '../../src/clock.js';
import type { Holdings } from '../../src/core/holdings.js';
import type { Roster } from '../../src/fleet/roster.js';
import { CONTROL_TIMEOUT_MS } from '../../src/limits.js';
import { WorkerProtocol } from '../../src/protocol/worker.js';
import type { Random } from '../../src/random.js';
import type { ConsoleSources } from './console.js';
import { DisturbanceNews } from './disturbance-news.js';
import { RequestJournal } from './request-journal.js';
import { SegmentHeat } from './segment-heat.js';
import { SlowRequests } from './slow-requests.js';
import { WorkerActivities } from './worker-activities.js';

/** Ids of requests are below it: exact as numbers of JSON. */
const LARGEST_ID = 2 ** 48;

/** Makes the parts of a coordinator that only its console needs. */
export function makeConsoleSources({
  clock,
  actors,
  roster,
  holdings,
  replicas,
  random,
  coordinators,
}: {
  readonly clock: Clock;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly holdings: Holdings;
  readonly replicas: number;
  readonly random: Random;
  /** How many coordinators there are, this one among them. */
  readonly coordinators: () => number;
}): Omit<ConsoleSources, 'runtime'> {
  const slow = new SlowRequests();
  const heat = new SegmentHeat(clock, {
    holders: (key) => holdings.holders(key),
    homes: (segment) => roster.ring.homes(segment, replicas),
  });
  const activities = new WorkerActivities({
    members: () => roster.members(),
    ask: ({ id, incarnation }, since) =>
      actors
        .ref(WorkerProtocol, { node: id, incarnation, actor: 'worker' })
        .ask('activity', { since }, { timeoutMs: CONTROL_TIMEOUT_MS }),
  });
  const countBlocks = (holders: number) => ({ blocks: holdings.size, below: holdings.countBelow(holders) });
  const blocksOf = (worker: string) => holdings.keysOf(worker);
  const journal = new RequestJournal(clock, slow, heat, () => random.below(LARGEST_ID));
  const disturbances = new DisturbanceNews({ actors, coordinators, clock });
  return { slow, heat, activities, countBlocks, blocksOf, journal, disturbances };
}
