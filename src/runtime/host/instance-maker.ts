import type { Call } from '../../actors/protocol.js';
import type { FleetClient } from '../client/fleet-client.js';
import { type CallScope, runInScope } from '../context.js';
import { requireGroupMethods } from '../core/lane.js';
import type { NodeGrant } from '../core/node-resources.js';
import type { Library } from '../library.js';
import type { RuntimeMember } from '../member/member.js';
import { OWNER_ACTOR, OwnerProtocol, type WireValue } from '../messages.js';
import { Checkpoints, savedBy, savingOf } from './checkpoints.js';
import type { Creation } from './creation.js';
import type { DetachedHost } from './detached-host.js';
import { type ActorLease, Instance, type InstanceHost, type InstanceOptions } from './instance.js';
import { KeptSpecs } from './kept-specs.js';
import { lifeScope } from './life-scope.js';
import { checkedArguments, methodSchema } from './schemas.js';

/** Makes the instance of an actor: constructs the user's object, and restores its state. */

/** What the code of an actor's constructor, `restore` and dispose method is told about the actor. */
export type ActorLife = Pick<InstanceOptions, 'spec' | 'owner' | 'epoch' | 'grant'>;

export interface InstanceMakerOptions {
  readonly host: InstanceHost;
  readonly member: RuntimeMember;
  readonly library: Library;
  readonly fleet: FleetClient;
  readonly detached: DetachedHost;
  /** Takes an object that will not be an actor, to give back what it holds. */
  readonly discard: (life: ActorLife, value: object | null) => void;
}

export class InstanceMaker {
  private readonly kept: KeptSpecs;

  constructor(private readonly options: InstanceMakerOptions) {
    this.kept = new KeptSpecs(options.library);
  }

  /**
   * @param lease null for an actor that is not detached
   * @throws what the code of the class throws; the object, if there is one, and the grant have been discarded then
   */
  async make(
    { spec, owner, epoch }: Creation,
    { grant, lease, state, call }: { grant: NodeGrant; lease: ActorLease | null; state: WireValue | null; call: Call },
  ): Promise<Instance> {
    const { library, fleet, host, discard } = this.options;
    const life: ActorLife = { spec, owner, epoch, grant };
    let value: object | null = null;
    try {
      const Class = library.classOf(spec.class, spec.version);
      const { args: given } = await fleet.values.unpackArguments(spec.args);
      const args = checkedArguments(methodSchema(Class, 'constructor'), `the constructor of ${spec.class}`, given);
      const scope = lifeScope(host, life, call);
      try {
        value = runInScope(scope, () => Reflect.construct(Class, args) as object);
        const checkpoints = await this.restored(life, value, state, scope);
        const own = { host, spec: this.kept.spec(spec), owner: this.kept.owner(owner) };
        return new Instance({ ...own, lease, epoch, value, checkpoints, grant: this.kept.grant(grant) });
      } finally {
        scope.isOver = true;
      }
    } catch (error) {
      discard(life, value);
      throw error;
    }
  }

  /** A process that owned actors is gone. */
  forget(incarnation: string): void {
    this.kept.forget(incarnation);
  }

  private async restored(
    life: ActorLife,
    value: object,
    state: WireValue | null,
    scope: CallScope,
  ): Promise<Checkpoints | null> {
    requireGroupMethods(value, life.spec);
    const checkpoints = this.checkpointsOf(life, value);
    if (checkpoints === null || state === null) return checkpoints;
    const [saved] = (await this.options.fleet.values.unpackArguments(state)).args;
    await runInScope(scope, () => savingOf(value, life.spec.class).restore(saved));
    return checkpoints;
  }

  private checkpointsOf({ spec, owner, epoch }: ActorLife, value: object): Checkpoints | null {
    const { id, checkpointEvery: every } = spec;
    if (every === null) return null;
    const { member, fleet, detached } = this.options;
    const saving = savingOf(value, spec.class);
    const save = async () => fleet.values.packResult([await savedBy(saving)]);
    const keep = async (sequence: number, state: WireValue) => {
      if (owner === null) return detached.keep(spec, epoch, state);
      const ref = member.actors.ref(OwnerProtocol, { ...owner, actor: OWNER_ACTOR });
      return (await ref.ask('checkpoint', { id, epoch, sequence, state })).kept;
    };
    return new Checkpoints({ every, save, keep });
  }
}
