import type { NodeAddress } from '../../actors/envelope.js';
import { mapAsDone, mapInOrder } from '../../async/bounded-map.js';
import type { KeyValue } from '../../bus/key-value.js';
import { InvalidRequest, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { currentScope } from '../context.js';
import type { NodeView } from '../core/node-view.js';
import { ActorRecords } from '../detached/actor-records.js';
import { Takeovers } from '../detached/takeover.js';
import { BoundedQueue, QUEUE_CODE } from '../host/bounded-queue.js';
import { describeCode, type UserClass, type UserFunction } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import type { BundleEntry, InstanceEntry, InstanceSpec, LogLine, ObjectsEntry, TaskEntry } from '../messages.js';
import type { ObjectRef } from '../objects/object-ref.js';
import { ProcessObjects, type ProcessObjectsOptions } from '../objects/process-objects.js';
import { ActorCalls } from './actor-calls.js';
import { ActorCreation, DEFAULT_NAMESPACE, stateOf } from './actor-creation.js';
import { type ActorLogOptions, actorLogs } from './actor-logs.js';
import { ActorNames, checkName } from './actor-names.js';
import {
  type ActorOptions,
  type CreationOptions,
  type TaskOptions,
  taskRetries,
  type WantedResources,
} from './actor-options.js';
import { abortSignal, count, oneOf, timeLimit } from './checked.js';
import { Demands, stateOfHandle } from './demands.js';
import { makeHandle } from './handle.js';
import type { ActorHandle, RefFunction, RemoteFunction } from './handle-types.js';
import { OwnedActors } from './owned-actors.js';
import { type GroupOptions, type PlacementGroup, PlacementGroups } from './placement-groups.js';
import type { CoordinatorAccess } from './prefix-place.js';
import { RuntimeLists } from './runtime-lists.js';
import { TaskCalls, type WantedTask } from './task-calls.js';
import type { MessageValues } from './values.js';
import { type Waited, type WaitOptions, waitFor } from './wait.js';

/** The runtime as a program uses it. */

const DEFAULT_MAP_CONCURRENCY = 16;
const MAP_CONCURRENCY = 4_096;
const QUEUE_CAPACITY = 1_024;
/** Calls of each kind that wait at a queue. */
const QUEUE_CALLS = 4_096;

export interface MapOptions extends TaskOptions {
  /** Items in work at a time. Default: 16. */
  readonly concurrency?: number;
}

export interface QueueOptions
  extends Omit<ActorOptions, 'args' | 'concurrencyGroups' | 'maxConcurrency' | 'maxPending' | 'version'> {
  /** Items that wait in it. Default: 1,024. */
  readonly capacity?: number;
}

export interface FleetClientOptions {
  /** Opens the bucket in which actors are recorded. */
  readonly openBucket: () => Promise<KeyValue>;
  readonly objects: ProcessObjectsOptions;
  /** The coordinator that knows where the K/V of a prefix is. */
  readonly coordinator: CoordinatorAccess;
  readonly onClose: () => Promise<void>;
}

export class FleetClient {
  private readonly calls: ActorCalls;
  private readonly owned: OwnedActors;
  private readonly names: ActorNames;
  private readonly tasks: TaskCalls;
  private readonly demands: Demands;
  private readonly creation: ActorCreation;
  private readonly objects: ProcessObjects;
  private readonly takeovers: Takeovers;
  private readonly groups: PlacementGroups;
  private readonly lists: RuntimeLists;
  /** @internal for the host of a node. */
  readonly records: ActorRecords;
  private readonly onClose: () => Promise<void>;

  constructor(
    private readonly member: RuntimeMember,
    { openBucket, objects, coordinator, onClose }: FleetClientOptions,
  ) {
    this.onClose = onClose;
    this.objects = new ProcessObjects(member, objects);
    this.records = new ActorRecords(openBucket);
    this.takeovers = new Takeovers(member, this.records);
    this.calls = new ActorCalls(member, this.objects, this.records, this.takeovers);
    this.owned = new OwnedActors(member, this.calls.values);
    this.names = new ActorNames(member, this.records);
    this.tasks = new TaskCalls(member, this.calls);
    this.groups = new PlacementGroups(member, () => this.calls.newId());
    this.lists = new RuntimeLists(member.directory, member.actors, member.rollCall);
    this.demands = new Demands(member, this.calls, coordinator);
    this.creation = new ActorCreation(member, this.calls, this.names, this.owned, this.demands);
  }

  /** @internal for the host of a node and for `connect`. */
  async start(life: Lifecycle): Promise<void> {
    await this.objects.start(life);
    await this.owned.start(life);
    this.takeovers.start(life);
    this.groups.start(life);
    life.use(this.member, (member) => member.leave());
  }

  /** @internal for the host of a node. */
  get values(): MessageValues {
    return this.calls.values;
  }

  /**
   * Creates an actor: an instance of a class that nodes host, on the best of them. The class is this program's own, or, with a type parameter,
   * the name of a class: `fleet.actor<Counter>('Counter')`.
   * @throws the constructor's errors; InvalidRequest if no node hosts the class, or if the name is taken
   */
  actor<T>(type: string, options?: ActorOptions): Promise<ActorHandle<T>>;
  actor<C extends UserClass>(type: C, ...options: CreationOptions<C>): Promise<ActorHandle<InstanceType<C>>>;
  actor(type: UserClass | string, options: ActorOptions = {}): Promise<ActorHandle<object>> {
    return this.creation.create(type, options);
  }

  /** The actor of that name. @throws InvalidRequest if there is none */
  async get<T>(
    name: string,
    { namespace = DEFAULT_NAMESPACE }: { readonly namespace?: string } = {},
  ): Promise<ActorHandle<T>> {
    this.member.requireOpen();
    const state = await this.names.find({
      namespace: checkName('namespace', namespace),
      name: checkName('name', name),
    });
    if (state) return makeHandle(state, this.calls);
    throw new InvalidRequest(`name: no actor is named ${name} in the namespace ${namespace}`, 'name');
  }

  /**
   * A function that runs on a node: `await fleet.task(square)(3)`. A generator function gives an async iterable. With `returns: 'ref'` the result
   * stays on the node, and the function gives a reference to it.
   * @throws (the returned function) the errors of `fn`; Unavailable if its node was lost and no retries are left
   */
  task<F extends UserFunction>(fn: F | string, options: TaskOptions & { readonly returns: 'ref' }): RefFunction<F>;
  task<F extends UserFunction>(fn: F | string, options?: TaskOptions): RemoteFunction<F>;
  task<F extends UserFunction>(fn: F | string, options: TaskOptions = {}): RemoteFunction<F> | RefFunction<F> {
    const streams = typeof fn === 'function' && describeCode(fn).streams.length > 0;
    const wanted = () => this.wantedTask(fn, options);
    const run = async (...args: readonly unknown[]) => this.tasks.run(await wanted(), args);
    const tasks = this.tasks;
    const flow = async function* (...args: readonly unknown[]) {
      yield* tasks.flow(await wanted(), args);
    };
    return (streams ? flow : run) as unknown as RemoteFunction<F>;
  }

  /**
   * Reserves resources on several nodes, all or nothing: `await fleet.group([{ cpu: 1 }, { cpu: 1, gpu: 1 }], { strategy: 'strictSpread' })`. Actors
   * and tasks use a bundle of it by `{ bundle: group.bundles[0] }`. Waits for room. A bundle whose node is gone is reserved again elsewhere.
   * @throws InvalidRequest if no nodes are large enough, DeadlineExceeded
   */
  group(bundles: readonly WantedResources[], options: GroupOptions = {}): Promise<PlacementGroup> {
    return this.groups.create(bundles, options);
  }

  /** Stores a value in this process. Others read it from here. @throws InvalidRequest, Overloaded if it does not fit into the budget */
  put<T>(value: T): ObjectRef<T> {
    this.member.requireOpen();
    return this.values.put(value);
  }

  /**
   * Waits until `count` of the promises are settled, by default one, or the time is over, and returns which are. Never rejects because one of
   * the promises does.
   */
  async wait<T>(promises: readonly Promise<T>[], options: WaitOptions = {}): Promise<Waited<T>> {
    return waitFor(promises, options, this.member.options.clock);
  }

  /** Runs a function on each item, several at a time, and yields the results in the order of the items. The first error ends it. */
  map<Item, Result>(
    fn: (item: Item) => Result,
    items: Iterable<Item> | AsyncIterable<Item>,
    options: MapOptions = {},
  ): AsyncGenerator<Awaited<Result>> {
    return mapInOrder(items, mapConcurrency(options), this.taskOf(fn, options));
  }

  /** Like `map`, but yields each result as soon as it is there. */
  mapUnordered<Item, Result>(
    fn: (item: Item) => Result,
    items: Iterable<Item> | AsyncIterable<Item>,
    options: MapOptions = {},
  ): AsyncGenerator<Awaited<Result>> {
    return mapAsDone(items, mapConcurrency(options), this.taskOf(fn, options));
  }

  /**
   * Creates a queue on a node: `put` waits while it holds `capacity` items, by default 1,024, and `take` while it is empty. Its handle can be sent.
   * @throws like `actor`
   */
  queue<T>({ capacity = QUEUE_CAPACITY, ...options }: QueueOptions = {}): Promise<ActorHandle<BoundedQueue<T>>> {
    const waiting = { max: QUEUE_CALLS, methods: ['put'] };
    const concurrencyGroups = { put: waiting, take: { ...waiting, methods: ['take'] } };
    const { source: version } = describeCode(BoundedQueue);
    const own = { args: [capacity], concurrencyGroups, maxPending: QUEUE_CALLS, version };
    return this.actor<BoundedQueue<T>>(QUEUE_CODE, { ...options, ...own });
  }

  /** Ends an actor. With `restart`, it is created again if it has restarts left. */
  kill(handle: ActorHandle<never> | ActorHandle<object>, options: { readonly restart?: boolean } = {}): Promise<void> {
    return this.calls.kill(stateOfHandle(handle), options);
  }

  /** The objects that this process stores, their bytes in memory, and the objects of others that it has references to. */
  objectStats(): ProcessObjects['stats'] {
    return this.objects.stats;
  }

  /** The members of the runtime: nodes and drivers. */
  nodes(): readonly NodeView[] {
    return this.member.directory.nodes();
  }

  /** The actors on all nodes. @throws (all lists) Unavailable if a node does not answer */
  listActors(): Promise<readonly InstanceEntry[]> {
    return this.listed('instances');
  }

  /** The tasks that run now on all nodes. */
  listTasks(): Promise<readonly TaskEntry[]> {
    return this.listed('tasks');
  }

  /** The bundles of placement groups that are reserved on all nodes. */
  listGroups(): Promise<readonly BundleEntry[]> {
    return this.listed('bundles');
  }

  /** The objects that each node stores. */
  listObjects(): Promise<readonly ObjectsEntry[]> {
    return this.listed('objects');
  }

  /**
   * The console output of the actors of a name or id. With `follow`, also their later output, on any node, until the signal
   * aborts or the reader leaves. Each node keeps some thousand lines.
   */
  logs(actor: string, options: ActorLogOptions = {}): AsyncGenerator<LogLine> {
    return actorLogs(this.member, actor, options);
  }

  /** Makes classes of errors known, so that errors of other processes arrive in them. */
  knowErrors(classes: Iterable<unknown>): void {
    this.values.errors.add(classes);
  }

  /** Leaves the fleet. The actors that this process created end. What waits for room, and what begins later, fails with Cancelled. */
  close(): Promise<void> {
    this.member.leave();
    return this.onClose();
  }

  /** A handle of an instance on this node. @internal for the host of a node. */
  handleOf(spec: InstanceSpec, owner: NodeAddress | null, streams: readonly string[]): ActorHandle<object> {
    return makeHandle(stateOf(spec, owner, streams, 0), this.calls);
  }

  private taskOf<Item, Result>(fn: (item: Item) => Result, { concurrency: _, ...options }: MapOptions) {
    return this.task(fn as UserFunction, options) as unknown as (item: Item) => Promise<Awaited<Result>>;
  }

  private async wantedTask(fn: UserFunction | string, options: TaskOptions): Promise<WantedTask> {
    const resources = options.resources ?? (currentScope() ? {} : { cpu: 1 });
    const [signal, timeoutMs] = [abortSignal(options.signal), timeLimit(options.timeoutMs)];
    const demand = await this.demands.of('function', fn, resources, options);
    return {
      demand,
      maxTaskRetries: taskRetries(options),
      keep: oneOf('returns', options.returns, 'value', ['value', 'ref']) === 'ref',
      options: { signal, timeoutMs },
    };
  }

  private async listed<K extends Parameters<RuntimeLists['list']>[0]>(kind: K) {
    this.member.requireOpen();
    const { entries, silent } = await this.lists.list(kind);
    if (silent.length === 0) return entries;
    throw new Unavailable(`cannot list all: no answer of ${silent.join(', ')}`);
  }
}

function mapConcurrency({ concurrency }: MapOptions): number {
  return count('concurrency', concurrency, DEFAULT_MAP_CONCURRENCY, 1, MAP_CONCURRENCY);
}
