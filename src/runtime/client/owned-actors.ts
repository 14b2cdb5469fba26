import type { Behavior, RequestOf, ResponseOf } from '../../actors/protocol.js';
import { orAbort } from '../../async/abort.js';
import { Overloaded, toWire, Unavailable } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { CALLS_IN_FLIGHT } from '../../limits.js';
import type { NodeView } from '../core/node-view.js';
import type { CodeDemand } from '../core/scheduler.js';
import type { RuntimeMember } from '../member/member.js';
import {
  HOST_ACTOR,
  HostProtocol,
  type InstanceSpec,
  OWNER_ACTOR,
  OwnerProtocol,
  type Whereabouts,
  type WireValue,
} from '../messages.js';
import { place } from './placing.js';
import type { MessageValues } from './values.js';

/** The actors that this process has created: where they are, and their restarts on other nodes. They end with this process. */

/** Dead actors that are remembered, so that handles learn why. */
const DEAD_REMEMBERED = 4_096;
/** Limit on the lost nodes whose actors are remembered, in case the nodes come back. */
const STRAY_NODES = 256;
const WHY_CHARS = 1_024;
/** Pause between two attempts to end an actor on a node that is back. */
const KILL_PAUSE_MS = 200;

/** A checkpoint of an actor, which this process keeps for the actor's next life. */
interface Kept {
  readonly epoch: number;
  readonly sequence: number;
  readonly wire: WireValue;
  release(): void;
}

class Owned {
  /** Restarts so far. */
  epoch = 0;
  at: NodeView | null = null;
  /** The newest checkpoint. */
  state: Kept | null = null;
  /** Where it is now, or will be. Rejects with what its constructor threw, or the errors of `place`. */
  place!: Promise<NodeView>;

  constructor(
    readonly spec: InstanceSpec,
    readonly demand: CodeDemand,
    readonly onDead: () => void,
  ) {}
}

export class OwnedActors {
  private readonly owned = new Map<string, Owned>();
  private readonly dead = new Map<string, string>();
  /** Actors that were moved from a node that may only be cut off, by its incarnation, with their restarts until then. */
  private readonly strays = new Map<string, Map<string, number>>();

  private over = false;

  constructor(
    private readonly member: RuntimeMember,
    private readonly values: MessageValues,
  ) {}

  async start(life: Lifecycle): Promise<void> {
    const behavior: Behavior<typeof OwnerProtocol> = {
      locate: ({ id }) => this.locate(id),
      checkpoint: async (request) => ({ kept: await this.keep(request) }),
      ended: ({ id, epoch, restart, why }) => this.ended(id, epoch, restart, why),
    };
    const { actors, directory } = this.member;
    await actors.spawn(OwnerProtocol, OWNER_ACTOR, () => behavior, {
      concurrency: CALLS_IN_FLIGHT,
      mailbox: CALLS_IN_FLIGHT,
      listed: false,
    });
    const unlisten = directory.listen(({ type, node }) => {
      if (type === 'joined') this.killStrays(node);
      if (type === 'left' || type === 'gone') this.nodeGone(node);
    });
    life.use(unlisten, (end) => end());
    life.use(this, () => {
      this.over = true;
    });
  }

  /**
   * Creates an actor on the best node. `onDead` is called once, when it is gone for good.
   * @throws what its constructor throws, the errors of `place`, and the reason of the signal, which ends the wait
   */
  async create(
    spec: InstanceSpec,
    demand: CodeDemand,
    { onDead, signal }: { onDead: () => void; signal: AbortSignal },
  ): Promise<void> {
    const owned = new Owned(spec, demand, onDead);
    this.owned.set(spec.id, owned);
    this.begin(owned, signal);
    try {
      await owned.place;
    } catch (error) {
      this.bury(owned, toWire(error).message);
      throw error;
    }
  }

  private begin(owned: Owned, signal?: AbortSignal): void {
    owned.at = null;
    owned.place = this.placed(owned, signal);
    owned.place.catch(() => undefined);
  }

  private async placed(owned: Owned, signal: AbortSignal | undefined): Promise<NodeView> {
    const attempt = (candidate: NodeView) => this.createAt(candidate, owned, signal);
    const { node, value: created } = await place(this.member, owned.demand, attempt, signal);
    // An error of the user's code, even if it is of a class by which a node says that it is busy.
    if (created.type === 'threw') throw this.values.errors.rebuild(created.error);
    owned.at = node;
    // It may have gone while it answered.
    if (this.member.directory.get(node.incarnation) === null) queueMicrotask(() => this.nodeGone(node));
    return node;
  }

  /** @throws Overloaded if the node cannot have the actor, or cannot be reached */
  private async createAt(
    node: NodeView,
    { spec, epoch, state }: Owned,
    signal: AbortSignal | undefined,
  ): Promise<ResponseOf<typeof HostProtocol, 'create'>> {
    const at = { node: node.id, incarnation: node.incarnation };
    await this.member.linked(at);
    const host = this.member.actors.ref(HostProtocol, { ...at, actor: HOST_ACTOR });
    try {
      const wanted = { spec, owner: this.member.self, epoch, from: null, state: state?.wire ?? null };
      const creating = host.ask('create', wanted);
      if (signal === undefined) return await creating;
      // Whoever wanted it may give up while its constructor runs.
      const end = () => void creating.then(() => this.killStray(node, spec.id, epoch)).catch(() => undefined);
      signal.addEventListener('abort', end, { once: true });
      return await orAbort(creating, signal);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.addStray(node, spec.id, epoch);
      throw new Overloaded(`cannot reach ${node.id}: ${error.message}`);
    }
  }

  private async locate(id: string): Promise<Whereabouts> {
    const owned = this.owned.get(id);
    if (!owned) return { type: 'dead', why: this.dead.get(id) ?? 'its owner does not know it' };
    try {
      const { id: node, incarnation } = await owned.place;
      return { type: 'at', node: { node, incarnation }, epoch: owned.epoch };
    } catch (error) {
      return { type: 'dead', why: toWire(error).message.slice(0, WHY_CHARS) };
    }
  }

  private async keep(request: RequestOf<typeof OwnerProtocol, 'checkpoint'>): Promise<boolean> {
    const { id, epoch, sequence, state } = request;
    const isCurrent = () => this.owned.get(id)?.epoch === epoch;
    if (!isCurrent()) return false;
    // The node that has the bytes of a large state may be gone when they are needed.
    // Nor does it keep the objects that the state refers to for long.
    const isPlain = !('object' in state) && !state.tagged;
    const own = isPlain ? null : this.values.packArguments(await this.values.unpackList(state));
    const kept: Kept = { epoch, sequence, wire: own?.wire ?? state, release: () => own?.release(false) };
    const owned = this.owned.get(id);
    const isNewest = isCurrent() && (owned?.state?.epoch !== epoch || owned.state.sequence < sequence);
    if (owned && isNewest) {
      owned.state?.release();
      owned.state = kept;
    } else kept.release();
    return isCurrent();
  }

  private nodeGone(node: NodeView): void {
    for (const owned of [...this.owned.values()]) {
      if (owned.at?.incarnation !== node.incarnation) continue;
      this.addStray(node, owned.spec.id, owned.epoch);
      this.restart(owned, `its node ${node.id} is gone`);
    }
  }

  private ended(id: string, epoch: number, restart: boolean, why: string): void {
    const owned = this.owned.get(id);
    if (!owned || owned.epoch !== epoch) return;
    if (restart) this.restart(owned, why);
    else this.bury(owned, why);
  }

  private restart(owned: Owned, why: string): void {
    const { maxRestarts } = owned.spec;
    if (owned.epoch >= maxRestarts) {
      this.bury(owned, maxRestarts === 0 ? why : `${why}, and it has no restarts left of ${maxRestarts}`);
      return;
    }
    owned.epoch++;
    this.begin(owned);
    owned.place.catch((error) => this.bury(owned, `it could not be restarted: ${toWire(error).message}`));
  }

  private bury(owned: Owned, why: string): void {
    const { id } = owned.spec;
    if (!this.owned.delete(id)) return;
    this.dead.set(id, why.slice(0, WHY_CHARS));
    if (this.dead.size > DEAD_REMEMBERED)
      for (const oldest of [...this.dead.keys()].slice(0, 1)) this.dead.delete(oldest);
    owned.state?.release();
    owned.onDead();
  }

  private addStray(node: NodeView, id: string, epoch: number): void {
    const strays = this.strays.get(node.incarnation) ?? new Map<string, number>();
    this.strays.set(node.incarnation, strays.set(id, epoch));
    if (this.strays.size > STRAY_NODES)
      for (const oldest of [...this.strays.keys()].slice(0, 1)) this.strays.delete(oldest);
  }

  /** A node that was considered gone is back, with actors that have been restarted elsewhere. */
  private killStrays(node: NodeView): void {
    const strays = this.strays.get(node.incarnation) ?? [];
    this.strays.delete(node.incarnation);
    for (const [id, epoch] of strays) void this.killStray(node, id, epoch);
  }

  /** Resolves when the actor has ended there, or the node is gone again. */
  private async killStray(node: NodeView, id: string, epoch: number): Promise<void> {
    const { actors, directory, options } = this.member;
    const host = actors.ref(HostProtocol, { node: node.id, incarnation: node.incarnation, actor: HOST_ACTOR });
    while (!this.over && directory.get(node.incarnation) !== null) {
      try {
        await host.ask('kill', { id, restart: false, epoch });
        return;
      } catch (error) {
        const { message } = toWire(error);
        options.log.warn({ actor: id, node: node.id, message }, 'cannot end an actor that was restarted elsewhere');
        await directory.news(KILL_PAUSE_MS);
      }
    }
    if (!this.over) this.addStray(node, id, epoch);
  }
}
