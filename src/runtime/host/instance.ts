import type { NodeAddress } from '../../actors/envelope.js';
import type { Behavior, Call } from '../../actors/protocol.js';
import { InvalidRequest, NoSuchActor, Unavailable } from '../../errors.js';
import type { Log } from '../../log.js';
import type { FleetClient } from '../client/fleet-client.js';
import type { ActorHandle } from '../client/handle-types.js';
import { laneOf } from '../core/lane.js';
import type { NodeGrant } from '../core/node-resources.js';
import type { InstanceEntry, InstanceProtocol, InstanceSpec, MethodCall, Outcome } from '../messages.js';
import { packThrown } from '../values/error-value.js';
import type { Checkpoints } from './checkpoints.js';
import { type Invocation, invoke, invokeStream } from './invocation.js';
import { checkedCall, methodSchema } from './schemas.js';

/** An instance of a user's class on this node, behind the methods of an actor. */

export interface InstanceOptions {
  readonly spec: InstanceSpec;
  /** Null: it is detached. */
  readonly owner: NodeAddress | null;
  /** Whether no other node can have the actor now. */
  readonly mayAnswer: () => boolean;
  readonly epoch: number;
  readonly value: object;
  /** Null: it has none. */
  readonly checkpoints: Checkpoints | null;
  readonly grant: NodeGrant;
  readonly fleet: FleetClient;
  readonly self: ActorHandle<object>;
  readonly log: Log;
}

export class Instance implements Behavior<typeof InstanceProtocol> {
  private running = 0;
  private calls = 0;
  private errors = 0;

  constructor(readonly options: InstanceOptions) {}

  async call(request: MethodCall, call: Call): Promise<Outcome> {
    this.checkLease();
    this.running++;
    const outcome = await invoke(this.invocation(request, call), request.args, (args) => this.apply(request, args));
    this.ended(outcome);
    const unsaved = await this.saved();
    if (this.options.mayAnswer()) return unsaved ?? outcome;
    throw new Unavailable('the node lost the actor during the call');
  }

  async send(request: MethodCall, call: Call): Promise<void> {
    const outcome = await this.call(request, call);
    if (outcome.type === 'value') return;
    const { log, spec } = this.options;
    const { name, message, stack } = outcome.error;
    log.error(
      { actor: spec.name ?? spec.id, method: request.method, error: { name, message, stack } },
      'a sent call failed',
    );
  }

  async *flow(request: MethodCall, call: Call): AsyncGenerator<Outcome> {
    this.checkLease();
    this.running++;
    let last: Outcome | null = null;
    try {
      const items = invokeStream(this.invocation(request, call), request.args, (args) => this.apply(request, args));
      for await (last of items) {
        if (!this.options.mayAnswer()) throw new Unavailable('the node lost the actor during the stream');
        yield last;
      }
    } finally {
      this.ended(last);
    }
    const unsaved = await this.saved();
    if (unsaved) yield unsaved;
  }

  describe(node: string): InstanceEntry {
    const { spec, epoch } = this.options;
    const { id, name, namespace, lifetime, version, resources } = spec;
    const { running, calls, errors } = this;
    return {
      id,
      class: spec.class,
      version,
      name,
      namespace,
      lifetime,
      node,
      restarts: epoch,
      running,
      calls,
      errors,
      resources,
    };
  }

  /** What went wrong with the checkpoint after a call, in the user's code; null if nothing did. @throws Unavailable */
  private async saved(): Promise<Outcome | null> {
    try {
      await this.options.checkpoints?.afterCall();
      return null;
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      return { type: 'threw', error: packThrown(error) };
    }
  }

  private ended(outcome: Outcome | null): void {
    this.running--;
    this.calls++;
    if (outcome?.type === 'threw') this.errors++;
  }

  private checkLease(): void {
    if (this.options.mayAnswer()) return;
    throw new NoSuchActor('the node cannot tell whether another one has the actor by now');
  }

  private apply({ method }: MethodCall, args: readonly unknown[]): unknown {
    const { value, spec } = this.options;
    const run = methodOf(value, method, spec.class);
    const schema = methodSchema(value.constructor, method);
    return checkedCall(schema, `${spec.class}.${method}`, args, (given) => Reflect.apply(run, value, given));
  }

  private invocation({ trace, method }: MethodCall, call: Call): Invocation {
    const { fleet, self, grant, spec } = this.options;
    // Calls that the method makes and waits for carry this actor in their chain.
    return {
      fleet,
      self,
      gpuIds: grant.gpuIds,
      call,
      trace: { ...trace, chain: [...trace.chain, laneOf(spec, method).name] },
    };
  }
}

/** A public method of the class or of those that it extends. Fields and what every object has cannot be called. */
function methodOf(value: object, method: string, className: string): (...args: never[]) => unknown {
  for (
    let at: object = Object.getPrototypeOf(value);
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    if (!Object.hasOwn(at, method) || method === 'constructor') continue;
    const found: unknown = Object.getOwnPropertyDescriptor(at, method)?.value;
    if (typeof found === 'function') return found as (...args: never[]) => unknown;
  }
  throw new InvalidRequest(`cannot call ${className}.${method}: the class has no such method`);
}
