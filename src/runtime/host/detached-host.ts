import { setMaxListeners } from 'node:events';
import { Cancelled, InvalidRequest, Overloaded, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { LEASE_RENEWAL_MS } from '../core/lease.js';
import type { ActorRecords } from '../detached/actor-records.js';
import { LeaseKeeper } from '../detached/lease-keeper.js';
import { createDetached } from '../detached/takeover.js';
import type { RuntimeMember } from '../member/member.js';
import type { ActorName, InstanceSpec, WireValue } from '../messages.js';
import { GivenUp } from './creation.js';
import type { ActorLease } from './instance.js';

/** The detached actors of this node: they are in its lease before they are adopted, and answer only while the lease is valid. */

export class DetachedHost {
  private readonly lease: LeaseKeeper;
  /** How often others have taken over all detached actors of this node. */
  private fences = 0;
  private readonly stopping = new AbortController();

  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
    /** Others have taken over all detached actors of this node. */
    onFenced: () => void,
  ) {
    this.lease = new LeaseKeeper(member, records, () => {
      this.fences++;
      onFenced();
    });
    setMaxListeners(0, this.stopping.signal);
  }

  start(life: Lifecycle): void {
    this.lease.start();
    life.use(this.lease, (lease) => {
      this.stopping.abort(new Cancelled('this node has stopped'));
      return lease.stop();
    });
  }

  /**
   * Records that an actor is on this node from now on. Its lease; null if its record does not name `from` any more.
   * @throws Overloaded if this node cannot have detached actors now
   */
  async adopt(spec: InstanceSpec, epoch: number, from: string | null): Promise<ActorLease | null> {
    const name = nameOf(spec);
    const lease = this.leaseOfLife();
    try {
      await this.lease.add(spec.id, name);
      if (await this.record(spec, name, epoch, from)) return lease;
    } catch (error) {
      this.lease.remove(spec.id);
      if (!(error instanceof Unavailable)) throw error;
      throw new Overloaded(`this node cannot have detached actors now: ${error.message}`);
    }
    this.lease.remove(spec.id);
    return null;
  }

  /** The lease for an actor that is adopted now. After a fence, the node may have a valid lease again for others. */
  private leaseOfLife(): ActorLease {
    const { fences } = this;
    const isFenced = () => this.fences !== fences;
    const { lease } = this;
    return {
      get valid() {
        return !isFenced() && lease.valid;
      },
      revived: async () => !isFenced() && (await lease.revived()) && !isFenced(),
    };
  }

  /**
   * The newest state of an actor that was adopted here, in a list; null if it has none. No earlier life of it can write its state from now on.
   * @throws Unavailable if the store cannot be reached, GivenUp if a later life has begun
   */
  async restored(spec: InstanceSpec, epoch: number): Promise<WireValue | null> {
    const name = nameOf(spec);
    for (;;) {
      const before = await this.records.state(name);
      const own = before?.record.id === spec.id ? before.record : null;
      if (own !== null && own.epoch > epoch) throw new GivenUp('another node has the actor');
      const state = own?.state ?? null;
      // The life before may have written meanwhile.
      if (await this.records.setState(name, { id: spec.id, epoch, state }, before)) return state;
    }
  }

  /** Keeps a state in the actor's record. False if the actor is elsewhere. @throws InvalidRequest if it is too large, Overloaded if the store is nearly full */
  async keep(spec: InstanceSpec, epoch: number, state: WireValue): Promise<boolean> {
    if ('object' in state) {
      throw new InvalidRequest('the state of a detached actor must have at most 64 KiB, because it is recorded');
    }
    const name = nameOf(spec);
    const before = await this.records.state(name);
    if (before?.record.id !== spec.id || before.record.epoch !== epoch) return false;
    return this.records.growState(name, { id: spec.id, epoch, state }, before);
  }

  /** The actor has ended here by a kill, which frees its name unless it is restarted. */
  async ended(spec: InstanceSpec, epoch: number, restart: boolean): Promise<void> {
    this.lease.remove(spec.id);
    if (restart && epoch < spec.maxRestarts) {
      await createDetached(this.member, spec, epoch + 1, this.member.self.incarnation);
      return;
    }
    if (await this.isHere(spec, epoch)) await this.records.deleteName(nameOf(spec));
  }

  /** Code of the actor has thrown while it was created. Frees its name. */
  async failed(spec: InstanceSpec, epoch: number): Promise<void> {
    try {
      await this.ended(spec, epoch, false);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      void this.giveBack(spec, epoch);
    }
  }

  /**
   * Has an actor created again, here or elsewhere, that was adopted here and could not be created through no fault of its code. Tries again until a node has
   * it, or this node stops: others take it over then. Never rejects.
   */
  async giveBack(spec: InstanceSpec, epoch: number): Promise<void> {
    const { clock } = this.member.options;
    const { signal } = this.stopping;
    this.lease.remove(spec.id);
    while (!signal.aborted) {
      try {
        if (await this.isHere(spec, epoch)) await this.createNext(spec, epoch, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const { name } = spec;
        this.member.pacedLog.warn({ name, err: error }, 'a detached actor cannot be created again yet');
        await new Promise<void>((resolve) => clock.after(LEASE_RENEWAL_MS, resolve));
      }
    }
  }

  /** Has an actor that has ended here, because this node stops, created on another node at once. Never rejects. */
  async handOver(spec: InstanceSpec, epoch: number, signal: AbortSignal): Promise<void> {
    if (epoch >= spec.maxRestarts) return;
    // What is not done here, others do once they hear that this node is gone.
    await this.createNext(spec, epoch, signal).catch(() => undefined);
  }

  private createNext(spec: InstanceSpec, epoch: number, signal: AbortSignal): Promise<unknown> {
    return createDetached(this.member, spec, epoch + 1, this.member.self.incarnation, { signal });
  }

  /** Whether the record still says that this life of the actor is on this node. */
  private async isHere(spec: InstanceSpec, epoch: number): Promise<boolean> {
    const detached = (await this.records.named(nameOf(spec)))?.record.detached;
    if (!detached?.adopted || detached.spec.id !== spec.id || detached.epoch !== epoch) return false;
    return detached.node.incarnation === this.member.self.incarnation;
  }

  private async record(spec: InstanceSpec, name: ActorName, epoch: number, from: string | null): Promise<boolean> {
    const recorded = await this.records.named(name);
    const detached = recorded?.record.detached;
    if (!recorded || detached?.spec.id !== spec.id || detached.node.incarnation !== from) return false;
    if (detached.adopted && epoch !== detached.epoch + 1) return false;
    const adopted = { spec, node: this.member.self, adopted: true, epoch };
    return this.records.setName(name, { ...recorded.record, detached: adopted }, recorded);
  }
}

function nameOf({ namespace, name, id }: InstanceSpec): ActorName {
  return { namespace, name: name ?? id };
}
