import type { NodeAddress } from '../../actors/envelope.js';
import type { Behavior, Call, RequestOf, ResponseOf } from '../../actors/protocol.js';
import { Overloaded } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { CALLS_IN_FLIGHT } from '../../limits.js';
import type { Log } from '../../log.js';
import { PacedLog } from '../../paced-log.js';
import { PASSING_TRACER, type Tracer } from '../../trace/span.js';
import type { FleetClient } from '../client/fleet-client.js';
import { runInScope } from '../context.js';
import { lanesOf, requireGroupMethods } from '../core/lane.js';
import { type NodeGrant, NodeResources } from '../core/node-resources.js';
import { describeResources, type Resources } from '../core/resources.js';
import type { Library } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import {
  HOST_ACTOR,
  HostProtocol,
  InstanceProtocol,
  type InstanceSpec,
  instanceActor,
  LISTED_AT_A_TIME,
  OWNER_ACTOR,
  OwnerProtocol,
  type WireValue,
} from '../messages.js';
import { packThrown } from '../values/error-value.js';
import { ActorLines, listenToConsole } from './actor-lines.js';
import { Checkpoints, savedBy, savingOf } from './checkpoints.js';
import { DetachedHost } from './detached-host.js';
import { Disposals } from './disposals.js';
import { type HostObserver, NO_OBSERVER } from './host-observer.js';
import { Instance, type InstanceHost } from './instance.js';
import { KeptSpecs } from './kept-specs.js';
import { lifeScope } from './life-scope.js';
import { NodeTasks } from './node-tasks.js';
import { checkedArguments, methodSchema } from './schemas.js';

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
  private readonly creating = new Set<string>();
  private readonly detached: DetachedHost;
  private readonly resources: NodeResources;
  private readonly shared: InstanceHost;
  private readonly tasks: NodeTasks;
  private readonly kept: KeptSpecs;
  private readonly disposals: Disposals;

  constructor(private readonly options: NodeHostOptions) {
    this.resources = new NodeResources(options.total, options.gpuIds);
    this.detached = new DetachedHost(options.member, options.fleet.records, () => this.fenced());
    const { library } = options;
    this.shared = this.share();
    this.kept = new KeptSpecs(library);
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
      exports: library.offered,
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
    const { spec, epoch } = request;
    const { id } = spec;
    const known = this.instances.get(id);
    if (known && known.options.epoch >= epoch) return { type: 'created' };
    if (this.creating.has(id)) throw new Overloaded(`cannot create the actor ${id}: it is being created`);
    if (this.instances.size + this.creating.size >= INSTANCES) {
      throw new Overloaded(`cannot create an actor: this node hosts ${INSTANCES} already`);
    }
    this.creating.add(id);
    try {
      if (known) await this.end(known);
      return await this.begin(request, call);
    } finally {
      this.creating.delete(id);
    }
  }

  private async begin({ spec, owner, epoch, from, state }: CreateRequest, call: Call): Promise<Created> {
    const grant = this.grant(spec.resources, spec.bundle);
    try {
      if (owner === null && !(await this.detached.adopt(spec, epoch, from))) {
        this.release(grant);
        return { type: 'elsewhere' };
      }
    } catch (error) {
      this.release(grant);
      throw error;
    }
    try {
      const isSaved = owner === null && spec.checkpointEvery !== null;
      const last = isSaved ? await this.detached.restored(spec, epoch) : state;
      await this.spawn(await this.instantiate({ spec, owner, epoch, state: last }, grant, call));
      return { type: 'created' };
    } catch (error) {
      this.release(grant);
      if (owner === null) await this.detached.ended(spec, epoch, false);
      return { type: 'threw', error: packThrown(error) };
    }
  }

  private async instantiate(
    { spec, owner, epoch, state }: Omit<CreateRequest, 'from'>,
    grant: NodeGrant,
    call: Call,
  ): Promise<Instance> {
    const { library, fleet } = this.options;
    const Class = library.classOf(spec.class, spec.version);
    const { args: given } = await fleet.values.unpackArguments(spec.args);
    const args = checkedArguments(methodSchema(Class, 'constructor'), `the constructor of ${spec.class}`, given);
    const scope = lifeScope(this.shared, { spec, owner, epoch, grant }, call);
    let value: object;
    let checkpoints: Checkpoints | null;
    try {
      value = runInScope(scope, () => Reflect.construct(Class, args) as object);
      requireGroupMethods(value, spec);
      checkpoints = this.checkpointsOf(spec, owner, epoch, value);
      if (checkpoints && state) {
        const [saved] = (await fleet.values.unpackArguments(state)).args;
        await runInScope(scope, () => savingOf(value, spec.class).restore(saved));
      }
    } finally {
      scope.isOver = true;
    }
    const lease = owner === null ? this.detached.lease : null;
    const own = { host: this.shared, spec: this.kept.spec(spec), owner: this.kept.owner(owner) };
    return new Instance({ ...own, lease, epoch, value, checkpoints, grant: this.kept.grant(grant) });
  }

  private checkpointsOf(spec: InstanceSpec, owner: NodeAddress | null, epoch: number, value: object) {
    const { id, checkpointEvery: every } = spec;
    if (every === null) return null;
    const { member, fleet } = this.options;
    const saving = savingOf(value, spec.class);
    const save = async () => fleet.values.packResult([await savedBy(saving)]);
    const keep = async (sequence: number, state: WireValue) => {
      if (owner === null) return this.detached.keep(spec, epoch, state);
      const ref = member.actors.ref(OwnerProtocol, { ...owner, actor: OWNER_ACTOR });
      return (await ref.ask('checkpoint', { id, epoch, sequence, state })).kept;
    };
    return new Checkpoints({ every, save, keep });
  }

  private async spawn(instance: Instance): Promise<void> {
    const { spec } = instance.options;
    const { actors } = this.options.member;
    for (const { name, max } of lanesOf(spec)) {
      const options = { concurrency: max, mailbox: spec.maxPending, listed: false };
      await actors.spawn(InstanceProtocol, instanceActor(name), instance.behavior, options);
    }
    this.instances.set(spec.id, instance);
    if (instance.options.epoch > 0) this.shared.observer.restarted(spec.class);
    this.options.member.directory.soon();
  }

  private async kill(id: string, restart: boolean, upTo: number | null): Promise<{ known: boolean }> {
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
    const { spec, grant } = instance.options;
    if (this.instances.get(spec.id) !== instance) return;
    this.instances.delete(spec.id);
    const { actors } = this.options.member;
    await Promise.all(lanesOf(spec).map(({ name }) => actors.stopActor(instanceActor(name))));
    // A method does not end with its actor, and may go on with the GPU.
    instance.whenIdle(() => {
      const disposal = this.dispose(instance);
      if (disposal === null) this.release(grant);
      else void disposal.then(() => this.release(grant));
    });
  }

  private dispose({ options: { spec, owner, epoch, value, grant } }: Instance): Promise<void> | null {
    return this.disposals.of(value, spec.name ?? spec.id, (dispose) => {
      const call = { signal: new AbortController().signal, trace: null };
      return runInScope(lifeScope(this.shared, { spec, owner, epoch, grant }, call), dispose);
    });
  }

  private fenced(): void {
    for (const instance of [...this.instances.values()]) if (instance.options.owner === null) void this.end(instance);
  }

  /** Actors do not outlive the process that created them. */
  private ownerGone(incarnation: string): void {
    this.kept.forget(incarnation);
    for (const instance of [...this.instances.values()]) {
      if (instance.options.owner?.incarnation === incarnation) void this.end(instance);
    }
    for (const bundle of this.resources.bundlesOf(incarnation)) void this.unreserve(bundle);
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
    await Promise.all([...this.instances.values()].map((instance) => this.end(instance)));
    await this.disposals.done();
  }
}

/** Describes items in lists that fit into messages. */
async function* each<T, Entry>(items: readonly T[], describe: (item: T) => Entry): AsyncGenerator<Entry[]> {
  for (let from = 0; from < items.length; from += LISTED_AT_A_TIME) {
    yield items.slice(from, from + LISTED_AT_A_TIME).map(describe);
  }
}
