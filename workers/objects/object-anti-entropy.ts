import { setImmediate } from 'node:timers/promises';
import type { Clock, Timer } from '../../src/clock.js';
import { differingBuckets } from '../../src/core/anti-entropy.js';
import type { ObjectName } from '../../src/objects/object-name.js';
import type { Differing, ObjectPeer, PartDigests } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';
import {
  bucketInPart,
  RANGE_BUCKETS,
  RangeSummary,
  RING_PARTS,
  type RingPart,
} from '../../src/objects/range-summary.js';
import type { Version } from '../../src/objects/version.js';
import type { ObjectStore } from './object-store.js';

/**
 * Compares the objects of this worker with the other homes', one home and one part of the ring after another, and owes a home its missing objects.
 * This restores a copy that was lost in any way, such as one that a home had no room for, or a deletion that did not reach it. Homes evict
 * independently, so copies go into free memory only; nothing is evicted for them.
 */

/** Interval between two comparisons. @internal exported for tests. */
export const COMPARE_MS = 2_000;
/** Objects in one part of the ring, about. */
const PART_OBJECTS = 8_192;
/** Copies, and bytes of them unless it is a single one, that are owed after one comparison. */
const OWED_COPIES = 1_024;
const OWED_BYTES = 64 * 2 ** 20;
/** Objects looked at in one turn of the event loop. */
const TURN_OBJECTS = 1_000;
const ANSWER_MS = 10_000;

export interface ObjectAntiEntropyOptions {
  readonly self: string;
  readonly store: ObjectStore;
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly peerOf: (worker: string) => ObjectPeer | null;
  /** Whether no handover is pending, here or elsewhere: until then copies are in transit anyway. */
  readonly quiet: () => boolean;
  readonly owe: (home: string, name: ObjectName) => void;
}

interface Known {
  readonly name: ObjectName;
  readonly version: Version;
}

export class ObjectAntiEntropy {
  private timer: Timer | null = null;
  /** The home that was compared last, and the place on the ring, in `[0, 1)`, at which the next part begins. */
  private last = '';
  private place = 0;
  /** The bucket at which the next copies begin, so that failing copies do not hold up the others. */
  private cursor = 0;
  private comparing = false;
  private answering = false;

  constructor(private readonly options: ObjectAntiEntropyOptions) {}

  start(): void {
    this.timer ??= this.options.clock.every(COMPARE_MS, () => void this.compareNext());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  /** The buckets that differ from another home's; null if they cannot be compared now. */
  async answer(home: string, { epoch, digests, ...part }: PartDigests): Promise<Differing | null> {
    const { ring, store } = this.options;
    if (this.answering || ring.epoch !== epoch) return null;
    this.answering = true;
    try {
      const own = await this.summary(home, part);
      if (ring.epoch !== epoch) return null;
      const freeBytes = Math.max(0, store.budgetBytes - store.bytes);
      return { buckets: differingBuckets(own.digests, digests), freeBytes };
    } finally {
      this.answering = false;
    }
  }

  /** Compares one part with the next home. */
  private async compareNext(): Promise<void> {
    if (this.comparing || !this.options.quiet()) return;
    this.comparing = true;
    try {
      const home = this.nextHome();
      if (home !== null) await this.compareWith(home, this.partAtPlace());
    } catch {
      // A home that cannot be reached is compared in its next turn.
    } finally {
      this.comparing = false;
    }
  }

  private async compareWith(home: string, part: RingPart): Promise<void> {
    const { self, ring, peerOf } = this.options;
    const { epoch } = ring;
    const { digests } = await this.summary(home, part);
    const peer = peerOf(home);
    if (peer === null || ring.epoch !== epoch) return;
    const differing = await peer.differing(self, { ...part, epoch, digests }, AbortSignal.timeout(ANSWER_MS));
    if (differing === null || ring.epoch !== epoch || this.timer === null) return;
    await this.oweWhatDiffers(home, part, differing);
  }

  private async oweWhatDiffers(home: string, part: RingPart, { buckets, freeBytes }: Differing): Promise<void> {
    const { store, owe } = this.options;
    const from = this.cursor;
    const distance = (bucket: number) => (bucket - from + RANGE_BUCKETS) % RANGE_BUCKETS;
    const wanted = new Map<number, Known[]>(
      [...buckets].sort((a, b) => distance(a) - distance(b)).map((at) => [at, []]),
    );
    for await (const known of this.shared(home, part)) wanted.get(bucketInPart(known.name.hash, part)!)?.push(known);
    let copies = 0;
    let bytes = 0;
    for (const [bucket, all] of wanted) {
      for (const { name } of all) {
        const cost = store.costOf(name.hash);
        if (bytes + cost > freeBytes || (bytes > 0 && bytes + cost > OWED_BYTES)) continue;
        bytes += cost;
        copies++;
        owe(home, name);
      }
      this.cursor = (bucket + 1) % RANGE_BUCKETS;
      if (copies >= OWED_COPIES) return;
    }
  }

  private async summary(home: string, part: RingPart): Promise<RangeSummary> {
    const summary = new RangeSummary(part);
    for await (const { name, version } of this.shared(home, part)) summary.add({ hash: name.hash, version });
    return summary;
  }

  /** The objects and deletions here that have both this worker and `home` as homes. */
  private async *shared(home: string, part: RingPart): AsyncGenerator<Known> {
    const { self, ring, store } = this.options;
    let looked = 0;
    for (const known of [...store.known()]) {
      if (++looked % TURN_OBJECTS === 0) await setImmediate();
      const { hash } = known.name;
      if (bucketInPart(hash, part) === null) continue;
      const homes = ring.homes(hash);
      if (homes.includes(self) && homes.includes(home)) yield known;
    }
  }

  /** The other workers in turn. After all of them it is the next part's turn. */
  private nextHome(): string | null {
    const { self, ring } = this.options;
    const others = ring.workers().filter((worker) => worker !== self && ring.standing(worker) === 'live');
    const [first = null, ...rest] = others.sort();
    const next = first !== null && first > this.last ? first : (rest.find((worker) => worker > this.last) ?? null);
    if (next === null) {
      const { part, parts } = this.partAtPlace();
      this.place = part + 1 < parts ? (part + 1) / parts : 0;
    }
    this.last = next ?? first ?? '';
    return next ?? first;
  }

  private partAtPlace(): RingPart {
    let parts = 1;
    while (parts < RING_PARTS && parts * PART_OBJECTS < this.options.store.objects) parts *= 2;
    return { part: Math.floor(this.place * parts), parts };
  }
}
