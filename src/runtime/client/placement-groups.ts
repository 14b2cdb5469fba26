import { DeadlineExceeded, InvalidRequest, ShoalError } from '../../errors.js';
import type { Lifecycle } from '../../lifecycle.js';
import { GROUP_STRATEGIES, type GroupStrategy, planGroup } from '../core/group-plan.js';
import type { NodeView } from '../core/node-view.js';
import type { RuntimeMember } from '../member/member.js';
import { HOST_ACTOR, HostProtocol } from '../messages.js';
import { demandedResources, type WantedResources } from './actor-options.js';
import { Bundle } from './bundle.js';
import { list, oneOf, timeLimit } from './checked.js';

/** Placement groups: resources of several nodes that are reserved together, or not at all. A group ends with the process that made it. */

/** How long a group that no known nodes can hold waits for others: a process that has just started may not have heard of all. */
const PATIENCE_MS = 3_000;
/** Pause after a node refused although it had announced room, and between attempts to free a bundle. */
const REFUSED_PAUSE_MS = 20;
const FREE_PAUSE_MS = 200;
const BUNDLES = 256;

export interface GroupOptions {
  /** Default: `pack`. */
  readonly strategy?: GroupStrategy;
  /** Classes and functions, by name, that every node of the group must host. Default: none. */
  readonly hosting?: readonly string[];
  /** Time to wait for room. Default: no limit. */
  readonly timeoutMs?: number;
}

export interface PlacementGroup {
  readonly id: string;
  readonly strategy: GroupStrategy;
  /** In the order in which they were asked for. */
  readonly bundles: readonly Bundle[];
  /** Ends the actors in it, and frees its resources. Idempotent. */
  remove(): Promise<void>;
}

class OpenGroup implements PlacementGroup {
  constructor(
    readonly id: string,
    readonly bundles: readonly Bundle[],
    readonly strategy: GroupStrategy,
    readonly hosting: readonly string[],
    readonly remove: () => Promise<void>,
  ) {}
}

export class PlacementGroups {
  private readonly open = new Set<OpenGroup>();
  /** Bundles that could not be freed because their node was gone, by its incarnation. It may come back. */
  private readonly strays = new Map<string, Set<string>>();
  private over = false;

  constructor(
    private readonly member: RuntimeMember,
    private readonly newId: () => string,
  ) {}

  start(life: Lifecycle): void {
    const unlisten = this.member.directory.listen(({ type, node }) => {
      if (type === 'joined') this.freeStrays(node);
      else if (type !== 'suspected') this.nodeGone(node);
    });
    life.use(unlisten, (end) => end());
    life.use(this, () => {
      this.over = true;
    });
  }

  /** See `FleetClient.group`. */
  async create(wanted: readonly WantedResources[], options: GroupOptions): Promise<PlacementGroup> {
    const timeoutMs = timeLimit(options.timeoutMs) ?? Number.POSITIVE_INFINITY;
    const hosting = list('hosting', options.hosting ?? []);
    if (list('bundles', wanted).length === 0 || wanted.length > BUNDLES)
      throw new InvalidRequest(`bundles: must be 1 to ${BUNDLES}, got ${wanted.length}`, 'bundles');
    const strategy = oneOf('strategy', options.strategy, 'pack', GROUP_STRATEGIES);
    const id = this.newId();
    const bundles = wanted.map((resources, index) => new Bundle(`${id}/${index}`, demandedResources(resources)));
    const group: OpenGroup = new OpenGroup(id, bundles, strategy, hosting, () => this.remove(group));
    const { clock } = this.member.options;
    await this.place(group, bundles, clock.now() + PATIENCE_MS, clock.now() + timeoutMs);
    this.open.add(group);
    // A node may have gone while others answered.
    for (const at of new Set(bundles.map((bundle) => bundle.at!))) {
      if (this.member.directory.get(at) === null) this.replace(group, at);
    }
    return group;
  }

  /** Reserves these bundles of a group, all or none at a time, until it has them. */
  private async place(
    group: OpenGroup,
    bundles: readonly Bundle[],
    impossibleFromMs: number,
    lateFromMs: number,
  ): Promise<void> {
    const { clock, random } = { ...this.member.options, random: this.member.options.surroundings.random };
    const kept = group.bundles.flatMap(({ at }) => at ?? []);
    for (;;) {
      this.member.requireOpen();
      const amounts = bundles.map(({ resources }) => resources);
      const plan = planGroup(this.hosts(group, random.next()), amounts, group.strategy, kept);
      if (plan.kind === 'nodes' && (await this.reserveAll(bundles, plan.nodes))) return;
      const nowMs = clock.now();
      if (plan.kind === 'impossible' && nowMs >= impossibleFromMs) throw new InvalidRequest(`bundles: ${plan.why}`);
      if (nowMs >= lateFromMs) throw new DeadlineExceeded('the bundles were not free in time');
      const untilMs = plan.kind === 'nodes' ? nowMs + REFUSED_PAUSE_MS : Math.min(impossibleFromMs, lateFromMs);
      const pauseMs = untilMs > nowMs ? Math.min(untilMs, lateFromMs) - nowMs : PATIENCE_MS;
      await this.member.directory.news(pauseMs, this.member.leaving);
    }
  }

  /** The nodes that a group may use. They are turned by the draw, so that equal nodes are used in turn. */
  private hosts({ hosting }: OpenGroup, draw: number): NodeView[] {
    const able = this.member.directory
      .nodes()
      .filter(
        ({ kind, exports }) => kind === 'node' && hosting.every((name) => exports.some((of) => of.name === name)),
      );
    const from = Math.floor(draw * able.length);
    return [...able.slice(from), ...able.slice(0, from)];
  }

  private async reserveAll(bundles: readonly Bundle[], nodes: readonly NodeView[]): Promise<boolean> {
    const answers = await Promise.all(bundles.map((bundle, i) => this.reserve(bundle, nodes[i]!)));
    if (answers.every((answer) => answer)) {
      for (const [i, bundle] of bundles.entries()) bundle.moveTo(nodes[i]!);
      return true;
    }
    await Promise.all(bundles.map(({ id }, i) => this.free(nodes[i]!, id)));
    return false;
  }

  private async reserve({ id, resources }: Bundle, node: NodeView): Promise<boolean> {
    await this.member.linked({ node: node.id, incarnation: node.incarnation });
    const { incarnation: owner } = this.member.self;
    try {
      return (await this.hostOf(node).ask('reserve', { bundle: id, owner, resources })).reserved;
    } catch (error) {
      if (error instanceof ShoalError) return false;
      throw error;
    }
  }

  /** Frees a bundle that a node has or may have. Resolves when it is free, or the node is gone. */
  private async free(node: NodeView, bundle: string): Promise<void> {
    while (!this.over && this.member.directory.get(node.incarnation) !== null) {
      try {
        await this.hostOf(node).ask('unreserve', { bundle });
        return;
      } catch (error) {
        if (!(error instanceof ShoalError)) throw error;
        await this.member.directory.news(FREE_PAUSE_MS);
      }
    }
    this.strays.set(node.incarnation, (this.strays.get(node.incarnation) ?? new Set()).add(bundle));
  }

  private async remove(group: OpenGroup): Promise<void> {
    this.open.delete(group);
    const held = group.bundles.flatMap((bundle) => {
      const node = bundle.at === null ? null : this.member.directory.get(bundle.at);
      bundle.end();
      bundle.moveTo(null);
      return node ? [{ node, bundle }] : [];
    });
    await Promise.all(held.map(({ node, bundle }) => this.free(node, bundle.id)));
  }

  private nodeGone({ incarnation }: NodeView): void {
    for (const group of this.open) this.replace(group, incarnation);
  }

  /** Reserves the bundles of a node that is gone elsewhere, as soon as there is room. */
  private replace(group: OpenGroup, incarnation: string): void {
    const lost = group.bundles.filter(({ at }) => at === incarnation);
    if (lost.length === 0) return;
    const strays = this.strays.get(incarnation) ?? new Set<string>();
    this.strays.set(incarnation, strays);
    for (const bundle of lost) {
      strays.add(bundle.id);
      bundle.moveTo(null);
    }
    const never = Number.POSITIVE_INFINITY;
    const placing = this.place(group, lost, never, never).then(() => {
      if (!this.open.has(group)) return this.remove(group);
      for (const at of new Set(lost.map((bundle) => bundle.at))) {
        if (at !== null && this.member.directory.get(at) === null) this.replace(group, at);
      }
    });
    placing.catch((err) => {
      if (!this.over) this.member.options.log.error({ err, group: group.id }, 'cannot reserve bundles again');
    });
  }

  private freeStrays(node: NodeView): void {
    const strays = this.strays.get(node.incarnation) ?? [];
    this.strays.delete(node.incarnation);
    for (const bundle of strays) void this.free(node, bundle);
  }

  private hostOf({ id, incarnation }: NodeView) {
    return this.member.actors.ref(HostProtocol, { node: id, incarnation, actor: HOST_ACTOR });
  }
}
