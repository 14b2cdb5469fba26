import type { NodeAddress } from '../../actors/envelope.js';
import type { Behavior, Call, RequestOf, ResponseOf } from '../../actors/protocol.js';
import { Overloaded } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { CALLS_IN_FLIGHT } from '../../limits.js';
import type { Log } from '../../log.js';
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
  type InstanceSpec,
  instanceActor,
  LISTED_AT_A_TIME,
  OWNER_ACTOR,
  OwnerProtocol,
  type TaskCall,
  type TaskEntry,
  type WireValue,
} from '../messages.js';
import { packThrown } from '../values/error-value.js';
import { Checkpoints, savingOf } from './checkpoints.js';
import { DetachedHost } from './detached-host.js';
import { Instance } from './instance.js';
import { type Invocation, invoke, invokeStream } from './invocation.js';
import { checkedArguments, checkedCall, functionSchema, methodSchema } from './schemas.js';

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
}

type CreateRequest = RequestOf<typeof HostProtocol, 'create'>;
type Created = ResponseOf<typeof HostProtocol, 'create'>;

const always = () => true;

interface RunningTask {
  readonly call: TaskCall;
  readonly startedMs: number;
}

export class NodeHost {
  private readonly instances = new Map<string, Instance>();
  private readonly creating = new Set<string>();
  private readonly running = new Set<RunningTask>();
  private readonly detached: DetachedHost;
  private readonly resources: NodeResources;

  constructor(private readonly options: NodeHostOptions) {
    this.resources = new NodeResources(options.total, options.gpuIds);
    this.detached = new DetachedHost(options.member, options.fleet.records, () => this.fenced());
  }

  /** Hosts from now on. `life` ends it, before the member leaves. */
  async start(life: Lifecycle): Promise<void> {
    const { member, library, fleet } = this.options;
    const behavior: Behavior<typeof HostProtocol> = {
      create: (request, call) => this.create(request, call),
      kill: ({ id, restart, epoch }) => this.kill(id, restart, epoch),
      run: (request, call) =>
        this.runTask(request, (task) => invoke(task, request.args, this.functionOf(request), request.keep), call),
      flow: (request, call) => this.flowTask(request, call),
      reserve: (request) => ({ reserved: this.reserve(request) }),
      unreserve: async ({ bundle }) => {
        await this.unreserve(bundle);
        return {};
      },
      bundles: () => each(this.resources.reserved, (bundle) => ({ ...bundle, node: member.self.node })),
      instances: () => each([...this.instances.values()], (instance) => instance.describe(member.self.node)),
      tasks: () => each(this.describeTasks(), (task) => task),
      objects: () => ({ node: member.self.node, ...fleet.objectStats() }),
    };
    await member.actors.spawn(HostProtocol, HOST_ACTOR, () => behavior, {
      concurrency: CALLS_IN_FLIGHT,
      mailbox: CALLS_IN_FLIGHT,
    });
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
      tasks: this.running.size,
    }));
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
    const { library, fleet, log } = this.options;
    const Class = library.classOf(spec.class, spec.version);
    const self = fleet.handleOf(spec, owner, library.streamsOf(spec.class));
    const given = await fleet.values.unpackArguments(spec.args);
    const args = checkedArguments(methodSchema(Class, 'constructor'), `the constructor of ${spec.class}`, given);
    const trace = { id: spec.id, attempt: epoch, chain: [spec.id] };
    const own = { callId: spec.id, attempt: epoch, gpuIds: grant.gpuIds, deadlineMs: null };
    const current = { fleet, self, signal: call.signal, ...own };
    const scope = { current, trace };
    const value = runInScope(scope, () => Reflect.construct(Class, args) as object);
    const checkpoints = this.checkpointsOf(spec, owner, epoch, value);
    if (checkpoints && state) {
      const [saved] = await fleet.values.unpackArguments(state);
      await runInScope(scope, () => savingOf(value, spec.class).restore(saved));
    }
    const mayAnswer = owner === null ? this.detached.mayAnswer : always;
    return new Instance({ spec, owner, mayAnswer, epoch, value, checkpoints, grant, fleet, self, log });
  }

  private checkpointsOf(spec: InstanceSpec, owner: NodeAddress | null, epoch: number, value: object) {
    const { id, checkpointEvery: every } = spec;
    if (every === null) return null;
    const { member, fleet } = this.options;
    const saving = savingOf(value, spec.class);
    const save = async () => fleet.values.packResult([await saving.save()]);
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
      await actors.spawn(InstanceProtocol, instanceActor(name), () => instance, options);
    }
    this.instances.set(spec.id, instance);
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
    this.release(grant);
    const { actors } = this.options.member;
    await Promise.all(lanesOf(spec).map(({ name }) => actors.stopActor(instanceActor(name))));
  }

  private fenced(): void {
    for (const instance of [...this.instances.values()]) if (instance.options.owner === null) void this.end(instance);
  }

  /** Actors do not outlive the process that created them. */
  private ownerGone(incarnation: string): void {
    for (const instance of [...this.instances.values()]) {
      if (instance.options.owner?.incarnation === incarnation) void this.end(instance);
    }
    for (const bundle of this.resources.bundlesOf(incarnation)) void this.unreserve(bundle);
  }

  private functionOf({ function: name, version }: TaskCall): (args: readonly unknown[]) => unknown {
    const run = this.options.library.functionOf(name, version);
    return (args) => checkedCall(functionSchema(run), name, args, (given) => Reflect.apply(run, undefined, given));
  }

  private async runTask<T>(request: TaskCall, run: (task: Invocation) => Promise<T>, call: Call): Promise<T> {
    const task = this.beginTask(request, call);
    try {
      return await run(task.invocation);
    } finally {
      task.end();
    }
  }

  private async *flowTask(request: TaskCall, call: Call) {
    const task = this.beginTask(request, call);
    try {
      yield* invokeStream(task.invocation, request.args, this.functionOf(request));
    } finally {
      task.end();
    }
  }

  private beginTask(request: TaskCall, call: Call): { invocation: Invocation; end: () => void } {
    const { fleet, member } = this.options;
    const grant = this.grant(request.resources, request.bundle);
    const { gpuIds } = grant;
    const task = { call: request, startedMs: member.options.clock.now() };
    this.running.add(task);
    return {
      invocation: { fleet, self: null, gpuIds, trace: request.trace, call },
      end: () => {
        this.running.delete(task);
        this.release(grant);
      },
    };
  }

  private describeTasks(): TaskEntry[] {
    const { member } = this.options;
    const nowMs = member.options.clock.now();
    return [...this.running].map(({ call, startedMs }) => ({
      id: call.trace.id,
      function: call.function,
      node: member.self.node,
      attempt: call.trace.attempt,
      runningMs: nowMs - startedMs,
    }));
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
  }
}

/** Describes items in lists that fit into messages. */
async function* each<T, Entry>(items: readonly T[], describe: (item: T) => Entry): AsyncGenerator<Entry[]> {
  for (let from = 0; from < items.length; from += LISTED_AT_A_TIME) {
    yield items.slice(from, from + LISTED_AT_A_TIME).map(describe);
  }
}
