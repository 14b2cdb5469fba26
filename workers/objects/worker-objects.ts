import type { Clock, Timer } from '../../src/clock.js';
import type { ObjectPeer } from '../../src/objects/object-node.js';
import type { ObjectRing } from '../../src/objects/object-ring.js';
import { HybridClock } from '../../src/objects/version.js';
import type { PurgedObjects } from '../../src/protocol/worker.js';
import { HandOver } from './hand-over.js';
import { ObjectAntiEntropy } from './object-anti-entropy.js';
import type { ObjectDisk } from './object-disk.js';
import { ObjectHome } from './object-home.js';
import { type DroppedObjects, purgeObjects } from './object-purge.js';
import { type GoneReason, ObjectStore } from './object-store.js';
import { Settling } from './settling.js';
import { Spreading } from './spreading.js';
import type { ValueSharing } from './value-sharing.js';

/** The objects of one worker: makes the parts, and starts and stops them. */

/** Interval at which expired objects are dropped. A look-up never finds them, whether they are dropped or not. */
const EXPIRE_MS = 1_000;

interface ObjectEvents {
  gone(reason: GoneReason): void;
  /** Copies were made for other homes after a change of the ring. */
  moved(objects: number): void;
  /** A home had no room for a copy. */
  full(): void;
}

export interface WorkerObjectsOptions {
  readonly self: { readonly id: string; readonly incarnation: string };
  readonly budgetBytes: number;
  readonly ring: ObjectRing;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly peerOf: (worker: string) => ObjectPeer | null;
  readonly events: ObjectEvents;
  /** Default: no process maps this one's memory. */
  readonly sharing?: ValueSharing;
  /** Default: objects are in memory alone. */
  readonly disk?: ObjectDisk | null;
}

/** What a worker dropped: all objects of the purge that are older than the version time `before`. */
interface ObjectPurgeAnswer extends DroppedObjects {
  readonly before: number;
  /** False if a file of one stays on the disk. */
  readonly complete: boolean;
}

export class WorkerObjects {
  readonly store: ObjectStore;
  readonly home: ObjectHome;
  private readonly versions: HybridClock;
  private readonly settling: Settling;
  private readonly handOver: HandOver;
  private readonly antiEntropy: ObjectAntiEntropy;
  private epoch: string;
  private expiring: Timer | null = null;

  constructor(private readonly options: WorkerObjectsOptions) {
    const { self, budgetBytes, ring, clock, wallMs, peerOf, events } = options;
    const shared = { self: self.id, ring, clock, peerOf };
    this.epoch = ring.epoch;
    this.store = new ObjectStore({
      budgetBytes,
      wallMs,
      onGone: (reason) => events.gone(reason),
      disk: options.disk ?? null,
      onLeft: (value) => options.sharing?.clear(value),
    });
    this.settling = new Settling(shared);
    this.handOver = new HandOver({ ...shared, store: this.store, onMoved: (objects) => events.moved(objects) });
    const spreading = new Spreading({
      ...shared,
      owe: (home, name) => this.handOver.owe(home, name),
      onFull: () => events.full(),
    });
    this.antiEntropy = new ObjectAntiEntropy({
      ...shared,
      store: this.store,
      quiet: () => this.settled && this.owedCopies === 0,
      owe: (home, name) => this.handOver.owe(home, name),
    });
    this.versions = new HybridClock(self.incarnation, wallMs);
    this.home = new ObjectHome({
      ...shared,
      store: this.store,
      versions: this.versions,
      settling: this.settling,
      sharing: options.sharing ?? null,
      spreading,
      owed: (home) => this.handOver.owedTo(home),
      differing: (home, other) => this.antiEntropy.answer(home, other),
    });
  }

  /** Whether this worker answers for its objects without asking others. */
  get settled(): boolean {
    return this.settling.settled;
  }

  /** Drops the objects of a purge, from the disk too. */
  async purge({ before, ...group }: PurgedObjects): Promise<ObjectPurgeAnswer> {
    const version = before === null ? this.versions.next() : { at: before, writer: '' };
    const dropped = await purgeObjects(this.store, group, version);
    return { ...dropped, before: version.at, complete: (await this.options.disk?.clean()) ?? true };
  }

  /** Copies that this worker still has to make. */
  get owedCopies(): number {
    return this.handOver.owedCopies;
  }

  start(): void {
    this.options.sharing?.start(this.options.clock);
    this.settling.start();
    this.antiEntropy.start();
    this.expiring ??= this.options.clock.every(EXPIRE_MS, () => this.store.expire());
  }

  stop(): void {
    this.expiring?.cancel();
    this.settling.stop();
    this.antiEntropy.stop();
    this.handOver.stop();
    this.store.close();
    this.options.sharing?.stop();
  }

  /** Resolves when all copies are made that this worker owes. */
  idle(): Promise<void> {
    return this.handOver.idle();
  }

  /** A worker is dead or has left. */
  workerGone(): void {
    this.handOver.workerLost();
  }

  /** The view of the fleet has changed, perhaps the ring too. */
  viewChanged(): void {
    const { epoch } = this.options.ring;
    if (epoch === this.epoch) return;
    this.epoch = epoch;
    this.unsettle();
    this.handOver.ringChanged();
  }

  /** This worker was declared dead, or heard no member: others may have continued without it. */
  wasCutOff(): void {
    this.unsettle();
  }

  private unsettle(): void {
    this.options.sharing?.clearAll();
    this.settling.unsettle();
  }
}
