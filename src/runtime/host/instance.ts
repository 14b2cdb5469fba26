import type { NodeAddress } from '../../actors/envelope.js';
import type { Behavior, Call } from '../../actors/protocol.js';
import { Deferred } from '../../async/deferred.js';
import type { Clock } from '../../clock.js';
import { InvalidRequest, NoSuchActor, Unavailable } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Span, Tracer } from '../../trace/span.js';
import type { FleetClient } from '../client/fleet-client.js';
import type { ActorHandle } from '../client/handle-types.js';
import type { Printer } from '../context.js';
import { laneOf } from '../core/lane.js';
import type { NodeGrant } from '../core/node-resources.js';
import {
  type InstanceEntry,
  type InstanceProtocol,
  type InstanceSpec,
  type LogLine,
  type MethodCall,
  type Outcome,
  STREAM,
} from '../messages.js';
import { packThrown } from '../values/error-value.js';
import type { ActorLines } from './actor-lines.js';
import { type Checkpoints, SaveFailed } from './checkpoints.js';
import type { HostObserver } from './host-observer.js';
import { type Invocation, invoke, invokeStream, thrownIn } from './invocation.js';
import { checkedCall, methodSchema } from './schemas.js';

/** An instance of a user's class on this node, behind the methods of an actor. */

/** The parts that the instances of a node share. */
export interface InstanceHost {
  readonly node: string;
  readonly fleet: FleetClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly lines: ActorLines;
  readonly observer: HostObserver;
  readonly tracer: Tracer;
  /** A handle of an instance here. */
  readonly handleOf: (spec: InstanceSpec, owner: NodeAddress | null) => ActorHandle<object>;
  /** Calls that wait for the instance. */
  readonly waitingFor: (spec: InstanceSpec) => number;
}

/** What keeps other nodes from having an actor too. */
export interface ActorLease {
  readonly valid: boolean;
  /** Renews a lease that is over. Whether it is valid again. Never rejects. */
  revived(): Promise<boolean>;
}

export interface InstanceOptions {
  readonly host: InstanceHost;
  readonly spec: InstanceSpec;
  /** Null: it is detached. */
  readonly owner: NodeAddress | null;
  /** Null: no other node can have the actor. */
  readonly lease: ActorLease | null;
  readonly epoch: number;
  readonly value: object;
  /** Null: it has none. */
  readonly checkpoints: Checkpoints | null;
  readonly grant: NodeGrant;
}

type Method = (...args: never[]) => unknown;

/** A call that has begun. */
interface Running {
  readonly method: string;
  /** Null: the class has no such method. */
  readonly run: Method | null;
  readonly call: Call;
  readonly span: Span;
  readonly startedMs: number;
}

export class Instance implements Behavior<typeof InstanceProtocol>, Printer {
  private readonly createdMs: number;
  private running = 0;
  private calls = 0;
  private errors = 0;
  /** Set while code of the actor runs that is waited for. */
  private idling: Deferred<void> | null = null;

  constructor(readonly options: InstanceOptions) {
    this.createdMs = options.host.clock.now();
  }

  /** For the actor that is in front of it. */
  readonly behavior = (): Instance => this;

  async call(request: MethodCall, call: Call): Promise<Outcome> {
    this.checkLease();
    const running = this.begin(request, call);
    let outcome: Outcome | null = null;
    try {
      const lane = laneOf(this.options.spec, request.method).name;
      const own = await invoke(this.invocation(request, running, lane), request.args, (args) =>
        this.apply(running, args),
      );
      outcome = (await this.saved()) ?? own;
      if (await this.mayAnswer()) return outcome;
      outcome = null;
      throw new Unavailable('the node lost the actor during the call');
    } finally {
      this.ended(running, outcome);
    }
  }

  async send(request: MethodCall, call: Call): Promise<void> {
    const outcome = await this.call(request, call);
    if (outcome.type === 'value') return;
    const { host, spec } = this.options;
    const { name, message, stack } = outcome.error;
    this.print('error', `the sent call ${request.method} failed: ${name}: ${message}`);
    host.log.error(
      { actor: spec.name ?? spec.id, method: request.method, error: { name, message, stack } },
      'a sent call failed',
    );
  }

  async *flow(request: MethodCall, call: Call): AsyncGenerator<Outcome> {
    this.checkLease();
    const running = this.begin(request, call);
    // A reader that leaves ends a stream in good order.
    let last: Outcome | null = { type: 'value', value: NOTHING };
    try {
      const items = invokeStream(this.invocation(request, running, STREAM), request.args, (args) =>
        this.apply(running, args),
      );
      for await (last of items) {
        if (!(await this.mayAnswer())) {
          last = null;
          throw new Unavailable('the node lost the actor during the stream');
        }
        yield last;
      }
      const unsaved = await this.saved();
      if (unsaved) yield unsaved;
    } finally {
      this.ended(running, last);
    }
  }

  /** Resolves once no code of the actor runs; null if none does. To be asked when the actor takes no more calls. */
  get idle(): Promise<void> | null {
    if (this.running === 0) return null;
    this.idling ??= new Deferred<void>();
    return this.idling.promise;
  }

  print(level: LogLine['level'], text: string): void {
    const { host, spec } = this.options;
    host.lines.add(spec, level, text);
  }

  describe(): InstanceEntry {
    const { host, spec, epoch: restarts, owner } = this.options;
    const { id, class: of, name, namespace, lifetime, version, maxConcurrency, bundle, resources } = spec;
    const { running, calls, errors } = this;
    return {
      ...{ id, class: of, version, name, namespace, lifetime, node: host.node, restarts },
      ...{ running, waiting: host.waitingFor(spec), calls, errors, maxConcurrency },
      ageMs: host.clock.now() - this.createdMs,
      ...{ owner: owner?.node ?? null, bundle, resources },
    };
  }

  /** The user code's failure to make a checkpoint after a call; null if there was none. @throws Unavailable */
  private async saved(): Promise<Outcome | null> {
    try {
      await this.options.checkpoints?.afterCall();
      return null;
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      return { type: 'threw', error: packThrown(error instanceof SaveFailed ? error.thrown : error) };
    }
  }

  private begin({ method }: MethodCall, call: Call): Running {
    const { host, spec, value } = this.options;
    const attributes = { 'rpc.system': 'shoal', 'rpc.service': spec.class, 'rpc.method': method };
    const actor = { 'shoal.actor': spec.name ?? spec.id };
    const span = host.tracer.start(`${spec.class}.${method}`, call.trace, { ...attributes, ...actor }, 'server');
    this.running++;
    return { method, run: methodOf(value, method), call, span, startedMs: host.clock.now() };
  }

  /** `outcome`: null if the call was lost. */
  private ended({ method, run, call, span, startedMs }: Running, outcome: Outcome | null): void {
    const { host, spec } = this.options;
    this.running--;
    this.calls++;
    if (outcome?.type === 'threw') this.errors++;
    const tookMs = host.clock.now() - startedMs;
    const end = outcome === null ? 'lost' : outcome.type === 'threw' ? 'threw' : 'ok';
    host.observer.called(spec.class, run && method, { outcome: end, waitedMs: call.waitedMs, tookMs });
    span.end(thrownIn(outcome));
    if (this.running === 0) this.idling?.resolve();
  }

  /** The code of an actor may have kept the event loop busy for longer than the lease was valid. */
  private mayAnswer(): boolean | Promise<boolean> {
    const { lease } = this.options;
    return lease === null || lease.valid || lease.revived();
  }

  private checkLease(): void {
    if (this.options.lease?.valid ?? true) return;
    throw new NoSuchActor('the node cannot tell whether another one has the actor by now');
  }

  private apply({ method, run }: Running, args: readonly unknown[]): unknown {
    const { value, spec } = this.options;
    if (run === null) throw new InvalidRequest(`cannot call ${spec.class}.${method}: the class has no such method`);
    const schema = methodSchema(value.constructor, method);
    return checkedCall(schema, `${spec.class}.${method}`, args, (given) => Reflect.apply(run, value, given));
  }

  private invocation({ trace }: MethodCall, { call, span }: Running, link: string): Invocation {
    const { host, grant, spec, owner } = this.options;
    // Calls that the method makes and waits for carry this one in their chain.
    const chain = [...trace.chain, link];
    const self = () => host.handleOf(spec, owner);
    return { fleet: host.fleet, self, gpuIds: grant.gpuIds, call, span, printer: this, trace: { ...trace, chain } };
  }
}

const NOTHING = { plain: null, tagged: false };

/** A public method of the class or of its base classes; null if there is none. Fields and the methods of `Object` cannot be called. */
function methodOf(value: object, method: string): Method | null {
  for (
    let at: object = Object.getPrototypeOf(value);
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    if (!Object.hasOwn(at, method) || method === 'constructor') continue;
    const found: unknown = Object.getOwnPropertyDescriptor(at, method)?.value;
    if (typeof found === 'function') return found as Method;
  }
  return null;
}
