import type { NodeView } from './node-view.js';
import { describeResources, fits, minus, plus, type Resources, usedShare } from './resources.js';

/** Which nodes get the bundles of a placement group. Decided by the creator from what nodes have announced; the nodes confirm. Pure. */

/**
 * `pack`: on as few nodes as possible; `spread`: on as many as possible. The strict ones accept nothing less than one node, or a node for each bundle.
 */
export type GroupStrategy = 'pack' | 'spread' | 'strictPack' | 'strictSpread';

export const GROUP_STRATEGIES: readonly GroupStrategy[] = ['pack', 'spread', 'strictPack', 'strictSpread'];

export type GroupPlan =
  /** The node of each bundle, in the order of the bundles. */
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeView[] }
  /** It would fit if nothing else ran. */
  | { readonly kind: 'busy' }
  | { readonly kind: 'impossible'; readonly why: string };

/** A node with its remaining resources while bundles are assigned. */
interface Place {
  readonly node: NodeView;
  free: Resources;
  bundles: number;
}

/**
 * Plans the bundles of one group on the free resources. `kept`: nodes, by incarnation, that have bundles of the group already and that a strict strategy
 * must use again, or must not.
 */
export function planGroup(
  nodes: readonly NodeView[],
  bundles: readonly Resources[],
  strategy: GroupStrategy,
  kept: readonly string[] = [],
): GroupPlan {
  const able = allowed(nodes, strategy, kept);
  const now = assign(able, bundles, strategy, ({ free }) => free);
  if (now !== null) return { kind: 'nodes', nodes: now };
  if (assign(able, bundles, strategy, ({ total }) => total) !== null) return { kind: 'busy' };
  const wanted = bundles.map(describeResources).join('; ');
  return {
    kind: 'impossible',
    why: `${able.length} nodes cannot hold ${strategy} of ${wanted}, even if nothing else ran`,
  };
}

function allowed(nodes: readonly NodeView[], strategy: GroupStrategy, kept: readonly string[]): readonly NodeView[] {
  if (kept.length === 0 || strategy === 'pack' || strategy === 'spread') return nodes;
  return nodes.filter(({ incarnation }) => kept.includes(incarnation) === (strategy === 'strictPack'));
}

function assign(
  nodes: readonly NodeView[],
  bundles: readonly Resources[],
  strategy: GroupStrategy,
  room: (node: NodeView) => Resources,
): NodeView[] | null {
  switch (strategy) {
    case 'strictPack':
      return together(nodes, bundles, room);
    case 'strictSpread':
      return apart(nodes, bundles, room);
    case 'pack':
      return together(nodes, bundles, room) ?? inOrder(nodes, bundles, room, fewest);
    case 'spread':
      return (
        apart(nodes, bundles, room) ?? inOrder(nodes, bundles, room, most) ?? inOrder(nodes, bundles, room, fewest)
      );
  }
}

/** All on the fullest node that has room. */
function together(
  nodes: readonly NodeView[],
  bundles: readonly Resources[],
  room: (node: NodeView) => Resources,
): NodeView[] | null {
  const sum = bundles.reduce((all, bundle) => plus(all, bundle), {});
  const able = nodes.filter((node) => fits(sum, room(node)));
  const [best] = able.toSorted((a, b) => usedShare(b.total, b.free) - usedShare(a.total, a.free));
  return best ? bundles.map(() => best) : null;
}

/** Each on its own node, if there is such an assignment: a maximum matching by augmenting paths (Kuhn's algorithm). */
function apart(
  nodes: readonly NodeView[],
  bundles: readonly Resources[],
  room: (node: NodeView) => Resources,
): NodeView[] | null {
  const emptiestFirst = nodes.toSorted((a, b) => usedShare(a.total, a.free) - usedShare(b.total, b.free));
  const bundleOf = new Map<NodeView, number>();
  const seat = (bundle: number, asked: Set<NodeView>): boolean => {
    for (const node of emptiestFirst) {
      if (asked.has(node) || !fits(bundles[bundle]!, room(node))) continue;
      asked.add(node);
      const other = bundleOf.get(node);
      if (other !== undefined && !seat(other, asked)) continue;
      bundleOf.set(node, bundle);
      return true;
    }
    return false;
  };
  if (!bundles.every((_, bundle) => seat(bundle, new Set()))) return null;
  const seated = new Map([...bundleOf].map(([node, bundle]) => [bundle, node]));
  return bundles.map((_, bundle) => seated.get(bundle)!);
}

const fewest = (a: Place, b: Place) => b.bundles - a.bundles || usedBy(b) - usedBy(a);
const most = (a: Place, b: Place) => a.bundles - b.bundles || usedBy(a) - usedBy(b);

function usedBy({ node, free }: Place): number {
  return usedShare(node.total, free);
}

/** The largest bundle first, each on the node with room that `order` prefers. May miss an existing assignment. */
function inOrder(
  nodes: readonly NodeView[],
  bundles: readonly Resources[],
  room: (node: NodeView) => Resources,
  order: (a: Place, b: Place) => number,
): NodeView[] | null {
  const places: Place[] = nodes.map((node) => ({ node, free: room(node), bundles: 0 }));
  const sizeOf = (bundle: Resources) =>
    Math.max(0, ...nodes.map(({ total }) => usedShare(total, minus(total, bundle))));
  const largestFirst = [...bundles.keys()].toSorted((a, b) => sizeOf(bundles[b]!) - sizeOf(bundles[a]!));
  const chosen: NodeView[] = [];
  for (const index of largestFirst) {
    const bundle = bundles[index]!;
    const [best] = places.filter(({ free }) => fits(bundle, free)).toSorted(order);
    if (!best) return null;
    best.free = minus(best.free, bundle);
    best.bundles++;
    chosen[index] = best.node;
  }
  return chosen;
}
