import { Overloaded, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { place } from '../client/placing.js';
import { TimeLimit } from '../client/time-limit.js';
import { LEASE_RENEWAL_MS, LeaseWatch } from '../core/lease.js';
import type { NodeView } from '../core/node-view.js';
import { type CodeDemand, NOWHERE } from '../core/scheduler.js';
import type { RuntimeMember } from '../member/member.js';
import { type ActorName, HOST_ACTOR, HostProtocol, type InstanceSpec } from '../messages.js';
import type { ActorRecords, NodeLease, Recorded } from './actor-records.js';

/**
 * Brings the detached actors of a node that is gone, or cut off from NATS, to other nodes. The node is fenced off first: once its lease carries a fence, it cannot renew
 * it, and before that the lease has been over for longer than its actors may answer without a renewal.
 */

/** How long one attempt to create an actor waits for room, while the others of its node wait for its end. Longer than `place` waits for a host. */
const MOVE_MS = 5_000;
/** Pause after some actors could not be created, because no node hosts their code or is large enough for them. */
const UNPLACED_PAUSE_MS = 1_000;
/** Pause between two checks whether a suspect node with an expired lease is gone. */
const SUSPICION_PAUSE_MS = 50;

export class Takeovers {
  /** Nodes whose actors are being taken over by this process, by incarnation. */
  private readonly running = new Map<string, Promise<void>>();
  private readonly rescuing = new Map<string, Promise<void>>();
  private over = false;

  constructor(
    private readonly member: RuntimeMember,
    private readonly records: ActorRecords,
  ) {}

  /** On a node, takes over from each node that is gone or cut off from now on. `life` ends it. */
  start(life: Lifecycle): void {
    if (this.member.options.kind !== 'node') return;
    const unlisten = this.member.directory.listen(({ type, node }) => {
      if (type !== 'joined' && node.kind === 'node') void this.from(node.incarnation);
    });
    life.use(unlisten, (end) => end());
    life.use(this, () => {
      this.over = true;
    });
  }

  /** Takes over from a node that is gone or cut off. Resolves when its actors run elsewhere, or when the node is heard again. Never rejects. */
  from(incarnation: string): Promise<void> {
    const running = this.running.get(incarnation);
    if (running) return running;
    const taking = this.take(incarnation)
      .catch((err) => this.member.options.log.error({ err, incarnation }, 'cannot take over detached actors'))
      .finally(() => this.running.delete(incarnation));
    this.running.set(incarnation, taking);
    return taking;
  }

  private async take(incarnation: string): Promise<void> {
    const watch = new LeaseWatch();
    const { clock } = this.member.options;
    let unplaced = 0;
    while (!this.over && !this.lives(incarnation)) {
      const lease = await this.lease(incarnation);
      if (lease === 'unknown') {
        await this.pause(LEASE_RENEWAL_MS);
        continue;
      }
      if (lease === null || lease.record.actors.length === 0) return;
      // A process that fenced the node off may have died since: its unfinished work is finished here.
      const leftMs = lease.record.fencedBy ? 0 : watch.seen(lease.revision, clock.now());
      if (leftMs > 0 || this.mayRenew(incarnation))
        await this.pause(Math.min(leftMs || SUSPICION_PAUSE_MS, LEASE_RENEWAL_MS));
      else {
        const left = await this.moveAll(incarnation, lease);
        if (left === null) continue;
        if (left.length === 0) return;
        if (left.length !== unplaced) this.logUnplaced(left);
        unplaced = left.length;
        await this.pause(UNPLACED_PAUSE_MS);
      }
    }
  }

  /**
   * Whether the node may yet renew its lease: the bus carries its messages, or it computes without a turn of its event loop. One that the bus does not
   * reach cannot, even if its link shows that it lives.
   */
  private mayRenew(incarnation: string): boolean {
    const { directory } = this.member;
    const node = directory.isBusy(incarnation) ? directory.get(incarnation) : null;
    // A node that is only cut off from the bus takes a link, and one that computes does not.
    if (node !== null) void this.member.linked({ node: node.id, incarnation });
    return node !== null || directory.hears(incarnation);
  }

  /** Whether the node is heard on the bus, without a doubt. The lease of a node in doubt is watched already, so that no time is lost once it is gone. */
  private lives(incarnation: string): boolean {
    const { directory } = this.member;
    return directory.hears(incarnation) && !directory.suspects(incarnation);
  }

  /** Fences the node off, and creates its actors elsewhere. The actors that could not be; null if the lease has changed meanwhile. */
  private async moveAll(incarnation: string, lease: Recorded<NodeLease>): Promise<Unplaced[] | null> {
    const { self, options } = this.member;
    const fenced: NodeLease = { ...lease.record, fencedBy: lease.record.fencedBy ?? self.incarnation };
    if (!lease.record.fencedBy) {
      if (!(await this.records.setLease(incarnation, fenced, lease))) return null;
      options.log.warn({ incarnation, actors: fenced.actors.length }, 'taking over the detached actors of a node');
    }
    const left: Unplaced[] = [];
    const moving = fenced.actors.map((name) => this.move(name, incarnation).catch((err) => left.push({ name, err })));
    await Promise.all(moving);
    if (left.length > 0) return left;
    const after = await this.records.lease(incarnation);
    if (after?.record.fencedBy) await this.records.setLease(incarnation, { ...after.record, actors: [] }, after);
    return [];
  }

  private logUnplaced(left: readonly Unplaced[]): void {
    const [first] = left;
    this.member.options.log.error(
      { ...first!.name, err: first!.err, actors: left.length },
      'detached actors cannot be created again yet; start a node that hosts their code and has room for them',
    );
  }

  /** Restores one actor whose node is gone and left no lease, because the actor's creator ended or the store lost the lease. Never rejects. */
  rescue(name: ActorName, from: string): Promise<void> {
    const key = JSON.stringify([from, name.namespace, name.name]);
    const rescuing = this.rescuing.get(key);
    if (rescuing) return rescuing;
    const rescue = this.restore(name, from)
      .catch(() => undefined)
      .finally(() => this.rescuing.delete(key));
    this.rescuing.set(key, rescue);
    return rescue;
  }

  private async restore(name: ActorName, from: string): Promise<void> {
    await this.from(from);
    const lease = await this.records.lease(from);
    const isFree = lease === null || (lease.record.fencedBy !== null && lease.record.actors.length === 0);
    if (isFree && !this.member.directory.hears(from)) await this.move(name, from);
  }

  private async move(name: ActorName, from: string): Promise<void> {
    const recorded = await this.records.named(name);
    const detached = recorded?.record.detached;
    if (!recorded || !detached || detached.node.incarnation !== from) return;
    const { spec, epoch } = detached;
    const mayRestart = epoch < spec.maxRestarts || !detached.adopted;
    const created = mayRestart ? await this.createAgain(spec, epoch + 1, from) : null;
    if (created?.type === 'created' || created?.type === 'elsewhere') return;
    this.member.options.log.error({ ...name, error: created?.error }, 'a detached actor is not created again');
    await this.records.deleteName(name);
  }

  private async createAgain(spec: InstanceSpec, epoch: number, from: string) {
    const limit = new TimeLimit(this.member.options.clock, `cannot place ${spec.class}`, { timeoutMs: MOVE_MS });
    try {
      return await createDetached(this.member, spec, epoch, from, { signal: limit.signal });
    } finally {
      limit.end();
    }
  }

  private async lease(incarnation: string): Promise<Recorded<NodeLease> | null | 'unknown'> {
    try {
      return await this.records.lease(incarnation);
    } catch (error) {
      if (error instanceof Unavailable) return 'unknown';
      throw error;
    }
  }

  private pause(timeMs: number): Promise<void> {
    return new Promise((resolve) => this.member.options.clock.after(timeMs, resolve));
  }
}

/** A detached actor that no node takes, and why. */
interface Unplaced {
  readonly name: ActorName;
  readonly err: unknown;
}

/** Creates a detached actor on the best node, unless the record of its name does not name `from` any more. Throws as `place` does. */
export async function createDetached(
  member: RuntimeMember,
  spec: InstanceSpec,
  epoch: number,
  from: string,
  { near = NOWHERE, signal }: { readonly near?: CodeDemand['near']; readonly signal?: AbortSignal } = {},
) {
  const { class: name, version, resources } = spec;
  const code = { kind: 'class', name, version, source: null } as const;
  const demand: CodeDemand = { ...code, resources, near, fill: 'spread', bundle: null };
  const attempt = async (node: NodeView) => {
    const at = { node: node.id, incarnation: node.incarnation };
    await member.linked(at);
    const host = member.actors.ref(HostProtocol, { ...at, actor: HOST_ACTOR });
    try {
      return await host.ask('create', { spec, owner: null, epoch, from, state: null });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      throw new Overloaded(`cannot reach ${node.id}: ${error.message}`);
    }
  };
  const { value } = await place(member, demand, attempt, signal);
  return value;
}
