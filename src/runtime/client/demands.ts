import { InvalidRequest, Unavailable } from '../../errors.js';
import { type CodeDemand, type Near, NOWHERE } from '../core/scheduler.js';
import { describeCode, type UserClass, type UserFunction } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import { ObjectRef } from '../objects/object-ref.js';
import type { ActorCalls } from './actor-calls.js';
import { demandedResources, type NearOption, type TaskOptions } from './actor-options.js';
import { Bundle } from './bundle.js';
import { oneOf, shown, text } from './checked.js';
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
    { near, fill, version, bundle }: TaskOptions,
  ): Promise<CodeDemand> {
    const own = typeof code === 'string' ? null : describeCode(requireCode(kind, code));
    const name = typeof code === 'string' ? code : code.name;
    if (own !== null && own.kind !== kind) throw new InvalidRequest(`${name}: is a ${own.kind}; a ${kind} is needed`);
    if (name === '') throw new InvalidRequest(`the ${kind} has no name; a node hosts it under the name of its export`);
    if (bundle !== undefined) requireBundle(bundle).checkOpen();
    if (version !== undefined) text('version', version);
    return {
      ...{ kind, name, fill: oneOf('fill', fill, 'spread', ['spread', 'pack']) },
      bundle: bundle ?? null,
      version: version ?? null,
      source: version === undefined ? (own?.source ?? null) : null,
      resources: demandedResources(resources),
      near: near === undefined ? NOWHERE : await this.nearOf(near),
    };
  }

  private async nearOf(near: NearOption): Promise<Near> {
    requireNear(near);
    if ('prefix' in near) return { nodes: [], workers: await this.workersOf(text('near.prefix', near.prefix)) };
    if ('worker' in near) return { nodes: [], workers: [text('near.worker', near.worker)] };
    if ('actor' in near) {
      const { node } = await this.calls.locate(stateOfHandle(near.actor));
      return { nodes: [node.incarnation], workers: [] };
    }
    if ('ref' in near) return { nodes: [near.ref.address.owner.incarnation], workers: [] };
    text('near.node', near.node);
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

const NEAR = ['actor', 'ref', 'prefix', 'node', 'worker'];

function requireNear(near: NearOption): void {
  const keys = typeof near === 'object' && near !== null ? Object.keys(near) : [];
  const isRef = !('ref' in Object(near)) || (near as { ref: unknown }).ref instanceof ObjectRef;
  if (keys.length === 1 && NEAR.includes(keys[0]!) && isRef) return;
  const allowed = '{ actor }, { ref }, { node }, { worker } or { prefix }';
  throw new InvalidRequest(
    `near: must be ${allowed}, got ${keys.length === 0 ? shown(near) : keys.join(', ')}`,
    'near',
  );
}

function requireBundle(bundle: Bundle): Bundle {
  if (bundle instanceof Bundle) return bundle;
  throw new InvalidRequest(`bundle: must be a bundle of a placement group, got ${shown(bundle)}`, 'bundle');
}

function requireCode<C extends UserClass | UserFunction>(kind: CodeDemand['kind'], code: C): C {
  if (typeof code === 'function') return code;
  throw new InvalidRequest(`the ${kind} must be a ${kind} that nodes host, or its name, got ${shown(code)}`);
}

/** @throws InvalidRequest if the value is not a handle */
export function stateOfHandle(handle: object): HandleState {
  const state = Object(handle) === handle ? handleState(handle) : null;
  if (state) return state;
  throw new InvalidRequest(`the value must be a handle of an actor, got ${shown(handle)}`);
}
