import { SimulatedClock } from '../../../../src/clock.js';
import { Unavailable } from '../../../../src/errors.js';
import { FleetObjects } from '../../../../src/objects/fleet-objects.js';
import type { ObjectHash } from '../../../../src/objects/object-name.js';
import type { ObjectHost, ObjectPeer } from '../../../../src/objects/object-node.js';
import { type HomeStanding, JOINERS, type ObjectRing } from '../../../../src/objects/object-ring.js';
import { ObjectValue } from '../../../../src/objects/object-value.js';
import { SeededRandom } from '../../../../src/random.js';
import { Ring } from '../../../../src/ring/ring.js';
import { WorkerObjects } from '../../../../workers/objects/worker-objects.js';

/** Workers with objects in one process, that call each other directly, on a ring that the test changes. */

export const MiB = 2 ** 20;

/** The view that all workers share: they see a change of it one after another. */
class TestRing implements ObjectRing {
  private ring: Ring;
  private standings: Map<string, HomeStanding>;

  constructor(
    ids: readonly string[],
    private readonly replicas: number,
  ) {
    this.ring = ringOf(ids);
    this.standings = new Map(ids.map((id) => [id, 'live']));
  }

  get epoch(): string {
    return this.ring.epoch;
  }

  set(ids: readonly string[], standings: Map<string, HomeStanding>): void {
    this.ring = ringOf(ids);
    this.standings = standings;
  }

  homes(hash: ObjectHash): readonly string[] {
    return this.ring.homes(hash, this.replicas);
  }

  heirs(hash: ObjectHash): readonly string[] {
    return this.ring.homes(hash, this.replicas + JOINERS);
  }

  standing(worker: string): HomeStanding {
    return this.standings.get(worker) ?? 'gone';
  }

  workers(): readonly string[] {
    return [...this.standings].filter(([, standing]) => standing !== 'gone').map(([id]) => id);
  }

  snapshot() {
    const { ring } = this;
    return (hash: ObjectHash) => ring.homes(hash, this.replicas);
  }
}

function ringOf(ids: readonly string[]): Ring {
  return new Ring(ids.map((id) => ({ id, incarnation: '1', weight: MiB })));
}

interface TestWorker {
  readonly objects: WorkerObjects;
  readonly ring: TestRing;
}

export class ObjectFleet {
  readonly clock = new SimulatedClock(1_000);
  readonly random: SeededRandom;
  readonly workers = new Map<string, TestWorker>();
  readonly full: string[] = [];
  private readonly standings = new Map<string, HomeStanding>();
  private readonly rings: TestRing[] = [];
  /** Calls from one worker to another that fail: `from>to`. */
  readonly cut = new Set<string>();
  /** The time of day of a worker, compared with the others'. */
  readonly skewMs = new Map<string, number>();
  /** Longest time of a message of a client; those between workers take longer, so that hand-overs take a while. */
  latencyMs = 30;
  private births = 0;

  constructor(
    readonly replicas: number,
    private readonly budgetBytes = 64 * MiB,
    seed = 1,
  ) {
    this.random = new SeededRandom(seed);
  }

  get wallMs(): number {
    return 1_700_000_000_000 + this.clock.now();
  }

  /** Starts workers, which join the ring at once. */
  start(...ids: string[]): void {
    for (const id of ids) {
      const ring = new TestRing([], this.replicas);
      this.rings.push(ring);
      const objects = new WorkerObjects({
        self: { id, incarnation: `${id}-${this.births++}` },
        budgetBytes: this.budgetBytes,
        ring,
        clock: this.clock,
        wallMs: () => this.wallMs + (this.skewMs.get(id) ?? 0),
        peerOf: (other) => this.peer(id, other),
        events: { gone: () => {}, moved: () => {}, full: () => this.full.push(id) },
      });
      this.workers.set(id, { objects, ring });
      this.standings.set(id, 'live');
      objects.start();
    }
    this.spread();
  }

  /** The process is gone; the others do not know yet. */
  crash(id: string): void {
    this.workers.get(id)?.objects.stop();
    this.workers.delete(id);
    this.standings.set(id, 'suspect');
    for (const ring of this.rings) ring.set(this.onRing(), new Map(this.standings));
  }

  /** All know that a worker is gone. */
  bury(id: string): void {
    this.standings.delete(id);
    for (const { objects } of this.workers.values()) objects.workerGone();
    this.spread();
  }

  /**
   * A gateway in a process that is no worker, or in that worker.
   * @param unknown workers whose address it does not know
   */
  gateway(at: string | null = null, unknown: readonly string[] = []): FleetObjects {
    const { clock, random } = this;
    const ring = new TestRing([], this.replicas);
    this.rings.push(ring);
    ring.set(this.onRing(), new Map(this.standings));
    const own = at === null ? null : { id: at, objects: this.workers.get(at)!.objects.home };
    const nodeOf = (worker: string) => (unknown.includes(worker) ? null : this.peer('gateway', worker));
    return new FleetObjects({ ring, clock, random, nodeOf, own });
  }

  /** Advances time until a promise settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
    };
    promise.then(end, end);
    for (let i = 0; !over; i++) {
      if (i > 20_000) throw new Error('the call does not end');
      await this.clock.advance(10);
    }
    return promise;
  }

  /** Until all workers are settled and owe nothing. */
  async settle(): Promise<void> {
    for (let i = 0; i < 2_000; i++) {
      if ([...this.workers.values()].every(({ objects }) => objects.settled && objects.owedCopies === 0)) return;
      await this.clock.advance(50);
    }
    throw new Error('the fleet does not settle');
  }

  /** The workers that have an object. */
  holders(hash: ObjectHash): string[] {
    return [...this.workers].filter(([, { objects }]) => objects.store.has(hash)).map(([id]) => id);
  }

  homes(hash: ObjectHash): readonly string[] {
    return ringOf(this.onRing()).homes(hash, this.replicas);
  }

  stop(): void {
    for (const { objects } of this.workers.values()) objects.stop();
  }

  private onRing(): string[] {
    return [...this.standings.keys()];
  }

  private spread(): void {
    for (const ring of this.rings) ring.set(this.onRing(), new Map(this.standings));
    for (const { objects } of this.workers.values()) objects.viewChanged();
  }

  /** Calls to a worker take some time, and fail once it is gone or cut off. */
  private peer(from: string, to: string): ObjectPeer | null {
    if (!this.standings.has(to)) return null;
    const reach = (): ObjectHost => {
      const worker = this.workers.get(to);
      if (worker === undefined || this.cut.has(`${from}>${to}`)) throw new Unavailable(`${to} cannot be reached`);
      return worker.objects.home;
    };
    const call = async <T>(make: (home: ObjectHost) => Promise<T>): Promise<T> => {
      await new Promise<void>((resolve) =>
        this.clock.after(this.random.below(from === 'gateway' ? this.latencyMs : 4 * this.latencyMs), resolve),
      );
      const result = await make(reach());
      // An answer is lost with the process that gives it.
      reach();
      return result;
    };
    return {
      read: (...args) => call((home) => home.read(...args)),
      share: (...args) => call((home) => home.share(...args)),
      look: (...args) => call((home) => home.look(...args)),
      write: (name, value, options, signal) =>
        call(async (home) => {
          const own = ObjectValue.of(value.copy());
          try {
            return await home.write(name, own, options, signal);
          } finally {
            own.release();
          }
        }),
      remove: (...args) => call((home) => home.remove(...args)),
      retime: (...args) => call((home) => home.retime(...args)),
      list: (...args) => call((home) => home.list(...args)),
      count: (...args) => call((home) => home.count(...args)),
      use: (...args) => call((home) => home.use(...args)),
      flush: (...args) => call((home) => home.flush(...args)),
      versions: (...args) => call((home) => home.versions(...args)),
      take: (copy, signal) =>
        call(async (home) => {
          // Another process has memory of its own.
          const value = copy.type === 'value' ? ObjectValue.of(copy.value.copy()) : null;
          const outcome = await home.take(copy.type === 'value' ? { ...copy, value: value! } : copy, signal);
          value?.release();
          return outcome;
        }),
      wanted: (...args) => call((home) => home.wanted(...args)),
      owes: (...args) => call((home) => home.owes(...args)),
      differing: (...args) => call((home) => home.differing(...args)),
    };
  }
}
