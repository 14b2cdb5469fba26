import type { NodeAddress } from '../../actors/envelope.js';
import type { Behavior, Call, RequestOf, ResponseOf } from '../../actors/protocol.js';
import { Cancelled, Overloaded, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { CALLS_IN_FLIGHT } from '../../limits.js';
import type { Log } from '../../log.js';
import { PacedLog } from '../../paced-log.js';
import { PASSING_TRACER, type Tracer } from '../../trace/span.js';
import type { FleetClient } from '../client/fleet-client.js';
import { runInScope } from '../context.js';
import { lanesOf } from '../core/lane.js';
import { type NodeGrant, NodeResources } from '../core/node-resources.js';
import { describeResources, type Resources } from '../core/resources.js';
import type { Library } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import {
  HOST_ACTOR,
  HostProtocol,
  InstanceProtocol,
  instanceActor,
  LISTED_AT_A_TIME,
  OWNER_ACTOR,
  OwnerProtocol,
} from '../messages.js';
import { packThrown } from '../values/error-value.js';
import { ActorLines, listenToConsole } from './actor-lines.js';
import { Creation, GivenUp } from './creation.js';
import { DetachedHost } from './detached-host.js';
import { Disposals } from './disposals.js';
import { type HostObserver, NO_OBSERVER } from './host-observer.js';
import type { ActorLease, Instance, InstanceHost } from './instance.js';
import { type ActorLife, InstanceMaker } from './instance-maker.js';
import { lifeScope } from './life-scope.js';
import { NodeTasks } from './node-tasks.js';

/** A node: hosts instances of the classes of its library, and runs its functions. */

/** Limit on the instances of one node. */
const INSTANCES = 65_536;

export interface NodeHostOptions {
  readonly member: RuntimeMember;
  readonly library: Library;
  readonly fleet: FleetClient;
  readonly total: Resources;
  readonly gpuIds: readonly string[];
  readonly log: Log;
  readonly observer?: HostObserver;
  /** Default: nothing is recorded, and traces of callers are handed on. */
  readonly tracer?: Tracer;
}

type CreateRequest = RequestOf<typeof HostProtocol, 'create'>;
type Created = ResponseOf<typeof HostProtocol, 'create'>;

export class NodeHost {
  private readonly instances = new Map<string, Instance>();
  private readonly creating = new Map<string, Creation>();
  private readonly detached: DetachedHost;
  private readonly resources: NodeResources;
  private readonly shared: InstanceHost;
  private readonly tasks: NodeTasks;
  private readonly maker: InstanceMaker;
  private readonly disposals: Disposals;
  private isStopping = false;

  constructor(private readonly options: NodeHostOptions) {
    this.resources = new NodeResources(options.total, options.gpuIds);
    this.detached = new DetachedHost(options.member, options.fleet.records, () => this.fenced());
    const { member, fleet, library } = options;
    const { detached } = this;
    this.shared = this.share();
    const discard = (life: ActorLife, value: object | null) => this.leave(life, value, null);
    this.maker = new InstanceMaker({ host: this.shared, member, fleet, library, detached, discard });
    this.disposals = new Disposals(this.shared.clock, this.shared.log);
    this.tasks = new NodeTasks({
      host: this.shared,
      library,
      grant: ({ resources, bundle }) => this.grant(resources, bundle),
      release: (grant) => this.release(grant),
    });
  }

  /** The actors of each class that this node can host. */
  get uses(): { readonly class: string; readonly actors: number; readonly waiting: number }[] {
    const classes = this.options.library.offered.filter(({ kind }) => kind === 'class');
    const uses = new Map(classes.map(({ name }) => [name, { class: name, actors: 0, waiting: 0 }]));
    for (const { options } of this.instances.values()) {
      const use = uses.get(options.spec.class);
      if (!use) continue;
      use.actors++;
      use.waiting += this.shared.waitingFor(options.spec);
    }
    return [...uses.values()];
  }

  /** Hosts from now on. `life` ends it, before the member leaves. */
  async start(life: Lifecycle): Promise<void> {
    const { member, library, fleet } = this.options;
    const behavior: Behavior<typeof HostProtocol> = {
      create: (request, call) => this.create(request, call),
      kill: ({ id, restart, epoch }) => this.kill(id, restart, epoch),
      run: (request, call) => this.tasks.run(request, call),
      flow: (request, call) => this.tasks.flow(request, call),
      reserve: (request) => ({ reserved: this.reserve(request) }),
      unreserve: async ({ bundle }) => {
        await this.unreserve(bundle);
        return {};
      },
      bundles: () => each(this.resources.reserved, (bundle) => ({ ...bundle, node: member.self.node })),
      instances: () => each([...this.instances.values()], (instance) => instance.describe()),
      tasks: () => each(this.tasks.describe(), (task) => task),
      logs: ({ actor, follow }, { signal }) => this.shared.lines.of(actor, follow, signal),
      objects: () => ({ node: member.self.node, ...fleet.objectStats() }),
    };
    await member.actors.spawn(HostProtocol, HOST_ACTOR, () => behavior, {
      concurrency: CALLS_IN_FLIGHT,
      mailbox: CALLS_IN_FLIGHT,
    });
    life.use(listenToConsole(), (end) => end());
    life.use(this, () => this.stop());
    this.detached.start(life);
    const unlisten = member.directory.listen(({ type, node }) => {
      if (type === 'left' || type === 'gone') this.ownerGone(node.incarnation);
    });
    life.use(unlisten, (end) => end());
    member.offers(() => ({
      exports: this.isStopping ? [] : library.offered,
      total: this.resources.total,
      free: this.resources.free,
      actors: this.instances.size,
      tasks: this.tasks.size,
    }));
  }

  private share(): InstanceHost {
    const { member, fleet, library, log, observer = NO_OBSERVER, tracer = PASSING_TRACER } = this.options;
    const { clock, surroundings } = member.options;
    const { node } = member.self;
    return {
      ...{ node, fleet, clock, observer, tracer },
      log: new PacedLog(log, clock),
      lines: new ActorLines(node, surroundings.wallMs),
      handleOf: (spec, owner) => fleet.handleOf(spec, owner, library.streamsOf(spec.class)),
      waitingFor: (spec) =>
        lanesOf(spec).reduce((sum, { name }) => sum + member.actors.waiting(instanceActor(name)), 0),
    };
  }

  private async create(request: CreateRequest, call: Call): Promise<Created> {
    const { spec, owner, epoch } = request;
    const { id } = spec;
    const known = this.instances.get(id);
    if (known && known.options.epoch >= epoch) return { type: 'created' };
    if (this.isStopping) throw new Overloaded('cannot create an actor: this node stops');
    if (this.creating.has(id)) throw new Overloaded(`cannot create the actor ${id}: it is being created`);
    if (this.instances.size + this.creating.size >= INSTANCES) {
      throw new Overloaded(`cannot create an actor: this node hosts ${INSTANCES} already`);
    }
    const creation = new Creation(spec, owner, epoch);
    this.creating.set(id, creation);
    try {
      if (known) await this.end(known);
      return await this.begin(creation, request, call);
    } finally {
      this.creating.delete(id);
      creation.finish();
    }
  }

  private async begin(creation: Creation, { from, state }: CreateRequest, call: Call): Promise<Created> {
    const { spec, owner, epoch } = creation;
    const grant = this.grant(spec.resources, spec.bundle);
    let lease: ActorLease | null = null;
    try {
      if (owner === null) {
        lease = await this.detached.adopt(spec, epoch, from);
        if (lease === null) {
          this.release(grant);
          return { type: 'elsewhere' };
        }
      }
    } catch (error) {
      this.release(grant);
      throw error;
    }
    try {
      await this.spawn(creation, await this.instantiate(creation, { grant, lease, state, call }));
      return { type: 'created' };
    } catch (error) {
      if (!(error instanceof GivenUp)) {
        if (owner === null) await this.detached.failed(spec, epoch);
        return { type: 'threw', error: packThrown(error) };
      }
      if (owner !== null) throw new Overloaded(error.message);
      void this.detached.giveBack(spec, epoch);
      return { type: 'elsewhere' };
    }
  }

  /** @throws what the code of the class throws, GivenUp; the grant is given back then */
  private async instantiate(creation: Creation, using: Parameters<InstanceMaker['make']>[1]): Promise<Instance> {
    const { spec, owner, epoch } = creation;
    let { state } = using;
    try {
      if (owner === null && spec.checkpointEvery !== null) state = await this.detached.restored(spec, epoch);
      creation.requireWanted();
    } catch (error) {
      this.release(using.grant);
      throw error instanceof Unavailable ? new GivenUp(error.message) : error;
    }
    return this.maker.make(creation, { ...using, state });
  }

  /** @throws GivenUp; the instance has ended then */
  private async spawn(creation: Creation, instance: Instance): Promise<void> {
    const { spec } = instance.options;
    const { actors } = this.options.member;
    this.instances.set(spec.id, instance);
    try {
      for (const { name, max } of lanesOf(spec)) {
        creation.requireWanted();
        const options = { concurrency: max, mailbox: spec.maxPending, listed: false };
        await actors.spawn(InstanceProtocol, instanceActor(name), instance.behavior, options);
      }
      creation.requireWanted();
    } catch (error) {
      await this.end(instance);
      throw error instanceof Unavailable ? new GivenUp(error.message) : error;
    }
    if (instance.options.epoch > 0) this.shared.observer.restarted(spec.class);
    this.options.member.directory.soon();
  }

  /** Waits for the actor while it is being created. */
  private async kill(id: string, restart: boolean, upTo: number | null): Promise<{ known: boolean }> {
    await this.creating.get(id)?.done;
    const instance = this.instances.get(id);
    if (!instance || instance.options.epoch > (upTo ?? Number.POSITIVE_INFINITY)) return { known: false };
    await this.end(instance);
    const { owner, epoch, spec } = instance.options;
    if (owner === null) {
      await this.detached.ended(spec, epoch, restart);
      return { known: true };
    }
    const ref = this.options.member.actors.ref(OwnerProtocol, { ...owner, actor: OWNER_ACTOR });
    ref.tell('ended', { id, epoch, restart, why: 'it was killed' });
    return { known: true };
  }

  private async end(instance: Instance): Promise<void> {
    const { spec } = instance.options;
    if (this.instances.get(spec.id) !== instance) return;
    this.instances.delete(spec.id);
    const { actors } = this.options.member;
    await Promise.all(lanesOf(spec).map(({ name }) => actors.stopActor(instanceActor(name))));
    // A method does not end with its actor, and may go on with the GPU.
    this.leave(instance.options, instance.options.value, instance.idle);
  }

  /** Lets an object that is no actor any more, or never was, give back what it holds; then gives its resources back. */
  private leave({ spec, owner, epoch, grant }: ActorLife, value: object | null, idle: Promise<void> | null): void {
    const actor = spec.name ?? spec.id;
    const call = { signal: new AbortController().signal, trace: null };
    const run = (dispose: () => unknown) =>
      runInScope(lifeScope(this.shared, { spec, owner, epoch, grant }, call), dispose);
    const disposal = (value && this.disposals.of({ value, actor, idle }, run)) ?? idle;
    if (disposal === null) this.release(grant);
    else void disposal.then(() => this.release(grant));
  }

  private fenced(): void {
    void this.endAll((owner) => owner === null);
  }

  /** Actors do not outlive the process that created them. */
  private ownerGone(incarnation: string): void {
    this.maker.forget(incarnation);
    void this.endAll((owner) => owner?.incarnation === incarnation);
    for (const bundle of this.resources.bundlesOf(incarnation)) void this.unreserve(bundle);
  }

  private async endAll(concerns: (owner: NodeAddress | null) => boolean): Promise<void> {
    for (const creation of this.creating.values()) if (concerns(creation.owner)) creation.giveUp();
    const concerned = [...this.instances.values()].filter(({ options }) => concerns(options.owner));
    await Promise.all(concerned.map((instance) => this.end(instance)));
  }

  private reserve({ bundle, owner, resources }: RequestOf<typeof HostProtocol, 'reserve'>): boolean {
    // A process that is gone would never free it.
    const isMember = this.options.member.directory.get(owner) !== null;
    const reserved = isMember && this.resources.reserve(bundle, owner, resources);
    this.options.member.directory.soon();
    return reserved;
  }

  private async unreserve(bundle: string): Promise<void> {
    this.resources.unreserve(bundle);
    // Code that creates an actor may go on for long.
    for (const { spec } of this.creating.values()) if (spec.bundle === bundle) void this.kill(spec.id, false, null);
    const within = [...this.instances.values()].filter(({ options }) => options.spec.bundle === bundle);
    await Promise.all(within.map((instance) => this.kill(instance.options.spec.id, false, null)));
    this.options.member.directory.soon();
  }

  /** @throws Overloaded if the resources are not free */
  private grant(demand: Resources, bundle: string | null): NodeGrant {
    const grant = this.resources.take(demand, bundle);
    if (grant === null) {
      const free = this.resources.freeIn(bundle);
      const has = free === null ? 'does not have the bundle' : `has ${describeResources(free)} free`;
      throw new Overloaded(`this node ${has}; ${describeResources(demand)} is needed`);
    }
    this.options.member.directory.soon();
    return grant;
  }

  private release(grant: NodeGrant): void {
    this.resources.giveBack(grant);
    this.options.member.directory.soon();
  }

  private async stop(): Promise<void> {
    this.isStopping = true;
    this.options.member.directory.soon();
    const lives = [...this.creating.values(), ...[...this.instances.values()].map(({ options }) => options)];
    await this.endAll(() => true);
    if (this.disposals.isEmpty) return;
    // Others learn that this node is gone only once all have given back what they hold.
    const handing = new AbortController();
    for (const { spec, owner, epoch } of lives) {
      if (owner === null) void this.detached.handOver(spec, epoch, handing.signal);
    }
    await this.disposals.done();
    handing.abort(new Cancelled('this node has stopped'));
  }
}

/** Describes items in lists that fit into messages. */
async function* each<T, Entry>(items: readonly T[], describe: (item: T) => Entry): AsyncGenerator<Entry[]> {
  for (let from = 0; from < items.length; from += LISTED_AT_A_TIME) {
    yield items.slice(from, from + LISTED_AT_A_TIME).map(describe);
  }
}
