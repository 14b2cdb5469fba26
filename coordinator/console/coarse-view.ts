import type { Clock } from '../../src/clock.js';
import type { CopyCounts } from '../../src/console/feed-messages.js';
import { coarseCount, coarsePart, EachMinute } from '../../src/core/coarse.js';
import type { Member } from '../../src/core/member.js';
import type { FleetView } from '../fleet.js';

/** The fleet as callers with the role `user` see it: the states of workers as they are, and counts that tell little of other tenants. */

/** Fewer requests than these on a worker are none. */
const LEAST_REQUESTS = 4;
/** Fewer blocks than these are none. */
const LEAST_BLOCKS = 64;

type Counts = Pick<Member, 'blocks' | 'bytes' | 'running' | 'waiting' | 'hitRate' | 'rates'>;

export class CoarseView {
  private readonly counts = new EachMinute<ReadonlyMap<string, Counts>>();
  private readonly copyCounts = new EachMinute<CopyCounts>();
  private readonly loads = new EachMinute<number>();

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** A worker that came within the minute has no counts yet. */
  of(view: FleetView): FleetView {
    const counts = this.counts.at(
      this.clock.now(),
      () => new Map(view.workers.map((worker) => [worker.incarnation, coarse(worker)])),
    );
    const workers = view.workers.map((worker) => ({
      ...worker,
      ...(counts.get(worker.incarnation) ?? noCounts(worker)),
    }));
    return { ...view, workers };
  }

  /** The choices that are being answered. */
  load(running: number): number {
    return this.loads.at(this.clock.now(), () => coarseCount(running, LEAST_REQUESTS));
  }

  copies({ blocks, below }: CopyCounts): CopyCounts {
    return this.copyCounts.at(this.clock.now(), () => ({
      blocks: coarseCount(blocks, LEAST_BLOCKS),
      below: coarseCount(below, LEAST_BLOCKS),
    }));
  }
}

function coarse({ blocks, bytes, budget, running, waiting, hitRate, rates }: Member): Counts {
  return {
    blocks: coarseCount(blocks, LEAST_BLOCKS),
    bytes: { device: coarsePart(bytes.device, budget.device), host: coarsePart(bytes.host, budget.host) },
    running: coarseCount(running, LEAST_REQUESTS),
    waiting: coarseCount(waiting, LEAST_REQUESTS),
    hitRate: coarsePart(hitRate, 1),
    rates,
  };
}

/** Of a worker that came within the minute. Measured rates move with its work. */
function noCounts({ rates }: Member): Counts {
  const noRates = { ...rates, computeMsPerToken: null };
  return { blocks: 0, bytes: { device: 0, host: 0 }, running: 0, waiting: 0, hitRate: 0, rates: noRates };
}
