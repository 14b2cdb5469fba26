import type { NodeAddress } from '../../actors/envelope.js';
import { InvalidRequest } from '../../errors.js';
import type { CodeDemand } from '../core/scheduler.js';
import { createDetached } from '../detached/takeover.js';
import type { UserClass } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import type { InstanceSpec } from '../messages.js';
import type { ActorCalls } from './actor-calls.js';
import { type ActorNames, checkName } from './actor-names.js';
import { type ActorOptions, actorBounds, lifetimeOf, taskRetries } from './actor-options.js';
import { abortSignal, list, timeLimit } from './checked.js';
import type { Demands } from './demands.js';
import { type HandleState, makeHandle } from './handle.js';
import type { ActorHandle } from './handle-types.js';
import type { OwnedActors } from './owned-actors.js';
import { hostedFor } from './placing.js';
import { TimeLimit } from './time-limit.js';

/** Creates actors: takes their names first, then finds a node for them. */

export const DEFAULT_NAMESPACE = 'default';

export class ActorCreation {
  constructor(
    private readonly member: RuntimeMember,
    private readonly calls: ActorCalls,
    private readonly names: ActorNames,
    private readonly owned: OwnedActors,
    private readonly demands: Demands,
  ) {}

  /** See `FleetClient.actor`. */
  async create(type: UserClass | string, options: ActorOptions): Promise<ActorHandle<object>> {
    const own = { signal: abortSignal(options.signal), timeoutMs: timeLimit(options.timeoutMs) };
    const wanted = await this.demands.of('class', type, options.resources ?? {}, options);
    const limit = new TimeLimit(this.member.options.clock, `the actor ${wanted.name} was not created`, own);
    try {
      return await this.created(wanted, options, limit.signal);
    } finally {
      limit.end();
    }
  }

  private async created(wanted: CodeDemand, options: ActorOptions, signal: AbortSignal): Promise<ActorHandle<object>> {
    const { version, streams } = await hostedFor(this.member, wanted, signal);
    const args = this.calls.values.packArguments(list('args', options.args ?? []));
    try {
      const spec = this.specOf({ ...wanted, version }, options, args.wire);
      if (spec.lifetime === 'detached' && args.hasRefs) {
        throw new InvalidRequest(
          'args: must not refer to objects for a detached actor, which may outlive them',
          'args',
        );
      }
      const owner = spec.lifetime === 'detached' ? null : this.member.self;
      const state = stateOf(spec, owner, streams, taskRetries(options));
      const taken = spec.name === null ? null : await this.claim(spec, spec.name, state, options);
      if (taken) {
        args.release(false);
        return makeHandle(taken, this.calls);
      }
      const onDead = () => this.onDead(spec, () => args.release(false));
      if (owner === null) await this.createDetached(spec, wanted, signal);
      else await this.owned.create(spec, { ...wanted, version }, { onDead, signal });
      return makeHandle(state, this.calls);
    } catch (error) {
      args.release(false);
      throw error;
    }
  }

  private specOf(
    { name: code, version, resources, bundle }: CodeDemand,
    options: ActorOptions,
    args: InstanceSpec['args'],
  ): InstanceSpec {
    const lifetime = lifetimeOf(options);
    const name = options.name === undefined ? null : checkName('name', options.name);
    const namespace = checkName('namespace', options.namespace ?? DEFAULT_NAMESPACE);
    if (lifetime === 'detached' && name === null) {
      throw new InvalidRequest('name: must be given for a detached actor, by which others find it', 'name');
    }
    if (lifetime === 'detached' && 'object' in args) {
      throw new InvalidRequest('args: must be at most 64 KiB for a detached actor, because they are recorded', 'args');
    }
    if (lifetime === 'detached' && bundle !== null) {
      throw new InvalidRequest('bundle: cannot hold a detached actor, because a group ends with its process', 'bundle');
    }
    const id = this.calls.newId();
    const place = { resources, bundle: bundle?.id ?? null };
    return { id, class: code, version: version!, args, name, namespace, lifetime, ...place, ...actorBounds(options) };
  }

  /** Takes the name. Returns the actor that has it already, if the options allow that. */
  private async claim(
    spec: InstanceSpec,
    name: string,
    state: HandleState,
    { getIfExists = false }: ActorOptions,
  ): Promise<HandleState | null> {
    const { namespace, lifetime } = spec;
    const detached = lifetime === 'detached' ? { spec, node: this.member.self, adopted: false, epoch: 0 } : null;
    const claim = await this.names.claim({ namespace, name }, { handle: state, detached });
    if (claim.type === 'claimed') return null;
    if (getIfExists) return claim.handle;
    throw new InvalidRequest(`name: ${name} is taken in the namespace ${namespace}; use getIfExists`, 'name');
  }

  private async createDetached(spec: InstanceSpec, { near }: CodeDemand, signal: AbortSignal): Promise<void> {
    try {
      const created = await createDetached(this.member, spec, 0, this.member.self.incarnation, { near, signal });
      if (created.type === 'threw') throw this.calls.values.errors.rebuild(created.error);
    } catch (error) {
      this.onDead(spec, () => undefined);
      throw error;
    }
  }

  private onDead({ id, name, namespace }: InstanceSpec, release: () => void): void {
    release();
    if (name === null) return;
    this.names.release({ namespace, name }, id).catch(({ message }: Error) => {
      this.member.options.log.warn({ name, namespace, message }, 'cannot free the name of an actor that is dead');
    });
  }
}

/** The state of an instance's handles. `owner` is null for a detached one. */
export function stateOf(
  { id, class: code, name, namespace, maxConcurrency, concurrencyGroups }: InstanceSpec,
  owner: NodeAddress | null,
  streams: readonly string[],
  maxTaskRetries: number,
): HandleState {
  const recordedAs = owner === null && name !== null ? { namespace, name } : null;
  const limits = { maxTaskRetries, maxConcurrency, concurrencyGroups };
  return { id, class: code, streams: [...streams], owner, name: recordedAs, ...limits };
}
