import type { z } from 'zod';
import { IndexKeeper } from '../../../../coordinator/index-keeper.js';
import { LinkEndings } from '../../../../coordinator/poison/link-endings.js';
import { PoisonGuard } from '../../../../coordinator/poison/poison-guard.js';
import { workerRelay } from '../../../../coordinator/poison/worker-relay.js';
import { NOTHING_DROPPED } from '../../../../coordinator/purge/purge.js';
import { Router } from '../../../../coordinator/router.js';
import { MemoryLinkHub } from '../../../../src/actors/memory-links.js';
import { ActorSystem } from '../../../../src/actors/system.js';
import { MemoryBroker, type MemoryBus } from '../../../../src/bus/memory-bus.js';
import { MemoryKeyValue } from '../../../../src/bus/memory-key-value.js';
import { SimulatedClock } from '../../../../src/clock.js';
import type { TierName } from '../../../../src/core/block.js';
import { Holdings } from '../../../../src/core/holdings.js';
import { packKeys, unpackKeys } from '../../../../src/core/key.js';
import { sampleOf } from '../../../../src/core/key-sample.js';
import { ON_PREFIX } from '../../../../src/core/kv-dependence.js';
import type { Announcement } from '../../../../src/core/member.js';
import type { PurgeSelector } from '../../../../src/core/purge-selector.js';
import { Roster } from '../../../../src/fleet/roster.js';
import { fleetSubjects } from '../../../../src/fleet/subjects.js';
import { SILENT_LOG } from '../../../../src/log.js';
import { COORDINATOR_ACTOR, CoordinatorProtocol } from '../../../../src/protocol/coordinator.js';
import type { GenerateEvent, GenerateRequest } from '../../../../src/protocol/generate.js';
import {
  EngineProtocol,
  type PurgeCounts,
  type PurgedObjects,
  ShardProtocol,
  WorkerProtocol,
} from '../../../../src/protocol/worker.js';
import { SeededRandom } from '../../../../src/random.js';
import { encode } from '../../../../src/wire/msgpack.js';
import { SuspicionRelay } from '../../../../workers/suspicion-relay.js';
import { announcement, FINGERPRINT } from '../../../support/announcement.js';

const NAMESPACE = 'hive';

type RetainAnswer = z.infer<typeof ShardProtocol.methods.retain.response>;
type Generate = (request: GenerateRequest, signal: AbortSignal) => AsyncIterable<GenerateEvent>;

interface PurgeOrder extends Pick<PurgeSelector, 'labels' | 'keys'> {
  readonly objects: PurgedObjects | null;
}

/** A worker as a coordinator sees it: actors whose answers a test scripts. */
export class ScriptedWorker {
  readonly requests: GenerateRequest[] = [];
  readonly orders: string[] = [];
  /** Coordinators that asked to be told directly, and for how long. */
  readonly followers: [string, number, string | null][] = [];
  keys: string[] = [];
  seq = 0;
  generate: Generate = () => saying([7]);
  onReset: () => void = () => {};
  /** `gone` are the keys of the dropped blocks. */
  onPurge: (order: PurgeOrder) => PurgeCounts & {
    readonly beyond?: readonly string[];
    readonly before?: number;
    readonly gone?: Iterable<string>;
  } = () => NOTHING_DROPPED;
  onRetain: (fence: number, keys: string[]) => RetainAnswer = () => ({ type: 'retained', missing: packKeys([]) });
  tierOf: (key: string) => TierName | null = () => 'device';
  /** How often a snapshot of its holdings was requested. */
  snapshots = 0;
  private actors!: ActorSystem;
  bus!: MemoryBus;

  constructor(
    private readonly hive: Hive,
    readonly id: string,
    readonly over: Partial<Announcement> = {},
  ) {}

  get says(): Announcement {
    return announcement(this.id, { holdingsSeq: this.seq, ...this.over });
  }

  async start(): Promise<void> {
    this.bus = this.hive.broker.connect(this.id);
    const { incarnation } = this.says;
    this.actors = this.hive.system(this.bus, this.id, incarnation);
    await this.actors.spawn(EngineProtocol, 'engine', () => ({
      generate: (request, { signal }) => {
        this.requests.push(request);
        return this.generate(request, signal);
      },
    }));
    const suspicions = new SuspicionRelay(this.actors, this.hive.clock, this.id);
    const worker = this;
    await this.actors.spawn(ShardProtocol, 'shard', () => ({
      holdings: async function* () {
        worker.snapshots++;
        yield { seq: worker.seq, keys: packKeys(worker.keys), last: true };
      },
      tiers: ({ keys }) => ({ tiers: unpackKeys(keys).map((key) => this.tierOf(key)) }),
      chain: () => ({ keys: packKeys([]), parent: packKeys([]) }),
      retain: ({ fence, keys }) => this.onRetain(fence, unpackKeys(keys)),
      purge: ({ labels, keys, objects = null }) => {
        const {
          beyond = [],
          gone = [],
          ...counts
        } = this.onPurge({ labels, keys: new Set(unpackKeys(keys)), objects });
        return { ...counts, beyond: packKeys(beyond), sample: sampleOf(gone) };
      },
      reset: () => {
        this.orders.push('reset');
        this.onReset();
        return { dropped: 0 };
      },
    }));
    await this.actors.spawn(WorkerProtocol, 'worker', () => ({
      drain: () => {
        this.orders.push('drain');
        return {};
      },
      undrain: () => {
        this.orders.push('undrain');
        return {};
      },
      disturb: ({ fault, seconds }) => {
        this.orders.push(`${fault} ${seconds}`);
        return {};
      },
      follow: ({ forMs, epoch }, { from }) => void this.followers.push([from, forMs, epoch]),
      suspicion: (message, { from }) => suspicions.hear(message, from),
      activity: () => ({
        ...{ received: [], evicted: 0, damaged: 0, audits: { right: 0, wrong: 0, skipped: 0 } },
        ...{ seq: 0, found: [] },
      }),
      suspicions: () => ({ messages: suspicions.list() }),
    }));
  }

  announce(over: Partial<Announcement> = {}): void {
    this.bus.publish(this.hive.subjects.announce, encode({ ...this.says, ...over }));
  }

  /** Adds keys, and publishes the change unless the message is to be lost. */
  take(keys: readonly string[], told = true): void {
    this.keys.push(...keys);
    this.seq++;
    const { id, incarnation } = this.says;
    const delta = { worker: id, incarnation, seq: this.seq, added: packKeys(keys), removed: new Uint8Array() };
    if (told) this.bus.publish(this.hive.subjects.holdings(id), encode(delta));
  }

  /** Simulates the death of its process. */
  async die(): Promise<void> {
    await this.bus.close();
  }

  stop(): Promise<void> {
    return this.actors.stop();
  }
}

/** A coordinator's parts over a bus in memory, in simulated time, with scripted workers. Several hives may share one world. */
export class Hive {
  readonly clock: SimulatedClock;
  readonly broker: MemoryBroker;
  readonly bucket: MemoryKeyValue;
  readonly hub: MemoryLinkHub;
  readonly subjects = fleetSubjects(NAMESPACE);
  readonly bus: MemoryBus;
  readonly actors: ActorSystem;
  readonly roster: Roster;
  readonly holdings = new Holdings();
  readonly keeper: IndexKeeper;
  readonly endings = new LinkEndings();
  readonly poison: PoisonGuard;
  readonly router: Router;
  readonly workers: ScriptedWorker[] = [];
  resumed = 0;
  quarantined = 0;
  refused = 0;
  /** Whether it takes itself for the only coordinator. */
  alone = true;

  constructor(
    world: Partial<Pick<Hive, 'clock' | 'broker' | 'bucket' | 'hub'>> = {},
    readonly id = 'coordinator',
  ) {
    this.clock = world.clock ?? new SimulatedClock(1_000_000);
    this.broker = world.broker ?? new MemoryBroker();
    this.bucket = world.bucket ?? new MemoryKeyValue();
    this.hub = world.hub ?? new MemoryLinkHub();
    this.bus = this.broker.connect(id);
    this.actors = this.system(this.bus, id, '0001');
    const { bus, clock, subjects, actors } = this;
    const probe = async () => {
      throw new Error('nobody is reached directly');
    };
    const self = { id: 'coordinator', incarnation: '0001', generation: null };
    this.roster = new Roster({ bus, clock, subjects, fingerprint: FINGERPRINT, self, probe });
    this.keeper = new IndexKeeper(this.holdings, this.roster, actors, bus, clock, subjects, SILENT_LOG);
    this.poison = new PoisonGuard({
      bus,
      relay: workerRelay(actors),
      clock,
      subjects,
      roster: this.roster,
      endings: this.endings,
      log: SILENT_LOG,
      self: id,
      secret: 'the secret of the hive',
      openBucket: async () => this.bucket,
      alone: () => this.alone,
      onQuarantined: () => this.quarantined++,
      onRefused: () => this.refused++,
    });
    this.router = new Router({
      bus,
      actors,
      roster: this.roster,
      holdings: this.holdings,
      clock,
      random: new SeededRandom(7),
      fingerprint: FINGERPRINT,
      dependence: ON_PREFIX,
      replicas: 2,
      poison: this.poison,
      onResumed: () => this.resumed++,
    });
    this.keeper.listen((worker) => this.router.holdingsChanged(worker));
    this.roster.listen((effect) => {
      if (effect.type === 'dead' || effect.type === 'left') actors.nodeGone(effect.id, effect.incarnation);
      if (effect.type === 'joined') actors.nodeBack(effect.id, effect.incarnation);
    });
    void actors.spawn(CoordinatorProtocol, COORDINATOR_ACTOR, () => ({
      announced: (said) => this.roster.hear(said),
      left: ({ id: left, incarnation }) => this.roster.hearLeave(left, incarnation),
      holdings: (change) => this.keeper.hear(change),
      suspicion: (message) => this.poison.hearByWorker(message),
    }));
    void this.poison.start();
    this.keeper.start();
    this.roster.start();
  }

  system(bus: MemoryBus, id: string, incarnation: string): ActorSystem {
    const random = new SeededRandom(1);
    const links = this.hub.node({ node: id, incarnation });
    return new ActorSystem({ bus, links, clock: this.clock, random, node: { id, incarnation }, namespace: NAMESPACE });
  }

  /** `prepare` is called before the coordinator hears of the worker. */
  async add(
    id: string,
    over: Partial<Announcement> = {},
    keys: readonly string[] = [],
    prepare: (worker: ScriptedWorker) => void = () => {},
  ): Promise<ScriptedWorker> {
    const worker = new ScriptedWorker(this, id, over);
    prepare(worker);
    worker.keys.push(...keys);
    await worker.start();
    this.workers.push(worker);
    worker.announce();
    await this.clock.advance(0);
    return worker;
  }

  /** Opens a direct link between the coordinator and a worker. */
  link({ says: { id, incarnation } }: ScriptedWorker): void {
    this.hub.connect(this.actors.node, { node: id, incarnation });
  }

  cut({ says: { id, incarnation } }: ScriptedWorker): void {
    this.hub.cut(this.actors.node, { node: id, incarnation });
  }

  /** Advances time while all connected workers announce themselves. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 400) {
      for (const worker of this.workers) if (worker.bus.connected) worker.announce();
      await this.clock.advance(Math.min(400, ms - passed));
    }
  }

  async close(): Promise<void> {
    this.keeper.stop();
    this.roster.stop();
    this.poison.stop();
    await Promise.all([this.actors.stop(), ...this.workers.map((worker) => worker.stop())]);
  }
}

export async function* saying(ids: readonly number[]): AsyncGenerator<GenerateEvent> {
  yield { type: 'start', cached: { local: 0, remote: 0, computed: 1 }, queueMs: 0 };
  for (const id of ids) yield { type: 'tokens', ids: [id] };
  yield { type: 'end', reason: 'length', token: null };
}
