import { InvalidRequest, Unavailable } from '../../errors.js';
import { type CodeDemand, type Near, NOWHERE } from '../core/scheduler.js';
import { describeCode, type UserClass, type UserFunction } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import type { ActorCalls } from './actor-calls.js';
import { demandedResources, type NearOption, type TaskOptions } from './actor-options.js';
import { type HandleState, handleState } from './handle.js';
import { type CoordinatorAccess, workerOfPrefix } from './prefix-place.js';

/** The demands of a class or function, with its options, on a node. */
export class Demands {
  constructor(
    private readonly member: RuntimeMember,
    private readonly calls: ActorCalls,
    private readonly coordinator: CoordinatorAccess,
  ) {}

  /** @throws InvalidRequest; with `near: { actor }`, the errors of looking for it */
  async of(
    kind: CodeDemand['kind'],
    code: UserClass | UserFunction | string,
    resources: NonNullable<TaskOptions['resources']>,
    { near, fill = 'spread', version, bundle }: TaskOptions,
  ): Promise<CodeDemand> {
    const own = typeof code === 'string' ? null : describeCode(code);
    const name = typeof code === 'string' ? code : code.name;
    if (own !== null && own.kind !== kind) throw new InvalidRequest(`${name}: is a ${own.kind}; a ${kind} is needed`);
    if (name === '') throw new InvalidRequest(`the ${kind} has no name; a node hosts it under the name of its export`);
    bundle?.checkOpen();
    return {
      ...{ kind, name, fill },
      bundle: bundle ?? null,
      version: version ?? null,
      source: version === undefined ? (own?.source ?? null) : null,
      resources: demandedResources(resources),
      near: near ? await this.nearOf(near) : NOWHERE,
    };
  }

  private async nearOf(near: NearOption): Promise<Near> {
    if ('prefix' in near) return { nodes: [], workers: await this.workersOf(near.prefix) };
    if ('worker' in near) return { nodes: [], workers: [near.worker] };
    if ('actor' in near) {
      const { node } = await this.calls.locate(stateOfHandle(near.actor));
      return { nodes: [node.incarnation], workers: [] };
    }
    if ('ref' in near) return { nodes: [near.ref.address.owner.incarnation], workers: [] };
    const named = this.member.directory.nodes().filter(({ id }) => id === near.node);
    return { nodes: named.map(({ incarnation }) => incarnation), workers: [] };
  }

  /** A preference that cannot be looked up is none: the code runs somewhere. */
  private async workersOf(prefix: string): Promise<readonly string[]> {
    try {
      const worker = await workerOfPrefix(prefix, this.coordinator);
      return worker === null ? [] : [worker];
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.member.pacedLog.warn({ reason: error.message }, 'places code anywhere, not near a prefix');
      return [];
    }
  }
}

/** @throws InvalidRequest if the value is not a handle */
export function stateOfHandle(handle: object): HandleState {
  const state = handleState(handle);
  if (state) return state;
  throw new InvalidRequest('the value must be a handle of an actor');
}
