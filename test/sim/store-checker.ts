import { subjectToken } from '../../src/bus/subject.js';
import { fleetBucket, generationBucket } from '../../src/fleet/buckets.js';
import { decode } from '../../src/wire/msgpack.js';
import type { Fault, FaultKind } from './faults.js';
import type { Fleet } from './fleet.js';
import type { SimCoordinator } from './sim-coordinator.js';
import type { StoreOutage } from './sim-nats.js';
import { NAMESPACE, type World } from './world.js';

/** What the members owe a store of NATS that did not work: they name it meanwhile, and put back afterwards what it has to have. */

/** A member that the store refused names it within this time: the time limit of a request, and that of a ping. */
const NAMED_WITHIN_MS = 6_000;

/** Faults beside which it is clear that the store is to blame. */
const CLEAR_BESIDE: readonly FaultKind[] = ['nats store', 'kill', 'killings', 'restart', 'poison', 'disk'];

/** Has the store refuse until the result is called, and checks that the coordinators say so. `faults`: the whole schedule. */
export function refuseStore(world: World, fleet: Fleet, how: StoreOutage, faults: readonly Fault[]): () => void {
  const { nats, time } = world;
  const heal = nats.refuse(how);
  const beganMs = time.nowMs;
  const before = new Set<SimCoordinator>([...fleet.coordinators.values()].filter(({ serving }) => serving));
  const isClear = faults.every(({ kind }) => CLEAR_BESIDE.includes(kind));
  const isOnly = faults.filter(({ kind }) => kind === 'nats store').length === 1;
  return () => {
    for (const coordinator of isClear && isOnly ? before : []) {
      const refusedMs = nats.refusals.get(coordinator.process);
      const isDue = refusedMs !== undefined && refusedMs >= beganMs && time.nowMs - refusedMs >= NAMED_WITHIN_MS;
      if (isDue && coordinator.process.running && coordinator.storeFault === null)
        world.violate('a store that refuses is named', `${coordinator.id} does not name the store that is ${how}`);
    }
    heal();
  };
}

export class StoreChecker {
  /** What the last look found; null for nothing. */
  private said: string | null = 'nobody has looked at the store';
  private looking = false;

  constructor(
    private readonly world: World,
    private readonly fleet: Fleet,
  ) {}

  /** What the store of a healed fleet lacks, or is still blamed for, as the last look but one found; null for nothing. */
  fault(): string | null {
    void this.look();
    for (const { id, storeFault } of this.fleet.coordinators.values())
      if (storeFault !== null) return `${id} still blames the store: ${storeFault}`;
    return this.said;
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    this.said = await this.lacking();
    this.looking = false;
  }

  private async lacking(): Promise<string | null> {
    const { nats, isSealed } = this.world;
    if ((await nats.bucket(fleetBucket(NAMESPACE).name).get('charter')) === null) return 'the store has no charter';
    for (const { id, worker } of this.fleet.workers.values()) {
      const counter = await nats.bucket(generationBucket(NAMESPACE).name).get(subjectToken(id));
      if (counter === null) return `the store has no generation of ${id}`;
      const counted = isSealed
        ? Number.POSITIVE_INFINITY
        : (decode(counter.value) as { generation: number }).generation;
      const own = worker?.generation ?? 0;
      if (counted < own) return `the store has generation ${counted} of ${id}, which is at ${own}`;
    }
    return null;
  }
}
