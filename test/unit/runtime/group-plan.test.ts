import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GroupStrategy, planGroup } from '../../../src/runtime/core/group-plan.js';
import { NodeResources } from '../../../src/runtime/core/node-resources.js';
import type { NodeView } from '../../../src/runtime/core/node-view.js';
import { fits, plus, type Resources } from '../../../src/runtime/core/resources.js';

function node(id: string, total: Resources, free = total): NodeView {
  const place = { pid: 1, host: 'h', address: null, worker: null, exports: [], actors: 0, tasks: 0 };
  return { id, incarnation: id, kind: 'node', ...place, total, free };
}

function plan(nodes: readonly NodeView[], cpus: readonly number[], strategy: GroupStrategy, kept: string[] = []) {
  const made = planGroup(
    nodes,
    cpus.map((cpu) => ({ cpu })),
    strategy,
    kept,
  );
  return made.kind === 'nodes' ? made.nodes.map(({ id }) => id).join('') : made.kind;
}

describe('the plan of a placement group', () => {
  const a = node('a', { cpu: 4 });
  const b = node('b', { cpu: 2 });
  const c = node('c', { cpu: 4 }, { cpu: 3 });

  it('packs on one node or as few as there have to be, and strictly on one or not at all', () => {
    expect(plan([a, b, c], [1, 1, 1], 'pack')).toBe('ccc');
    expect(new Set(plan([a, b, c], [3, 3], 'pack'))).toEqual(new Set(['a', 'c']));
    expect(plan([a, b, c], [2, 2], 'strictPack')).toBe('aa');
    expect(plan([b, c], [2, 2], 'strictPack')).toBe('busy');
    expect(plan([a, b, c], [3, 2], 'strictPack')).toBe('impossible');
  });

  it('spreads over as many nodes as there are, and strictly one for each bundle or not at all', () => {
    expect(new Set(plan([a, b, c], [1, 1, 1], 'spread'))).toEqual(new Set(['a', 'b', 'c']));
    expect(plan([a, b], [1, 1, 1], 'spread')).toHaveLength(3);
    expect(plan([a, b], [1, 1, 1], 'strictSpread')).toBe('impossible');
    // The small bundle must leave the large node to the large one.
    expect(plan([a, b], [1, 4], 'strictSpread')).toBe('ba');
    expect(plan([b, c], [1, 4], 'strictSpread')).toBe('busy');
  });

  it('replaces bundles beside those that are left, as the strategy demands', () => {
    expect(plan([a, b, c], [1], 'strictPack', ['b'])).toBe('b');
    expect(plan([a, c], [1], 'strictSpread', ['a'])).toBe('c');
    expect(plan([a], [1], 'strictSpread', ['a'])).toBe('impossible');
  });

  it('never gives a node more than it has, and keeps its strategy', () => {
    const amount = fc.integer({ min: 0, max: 8 });
    const strategies = fc.constantFrom<GroupStrategy>('pack', 'spread', 'strictPack', 'strictSpread');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(amount, amount), { minLength: 1, maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
        strategies,
        (sizes, cpus, strategy) => {
          const nodes = sizes.map(([free, used], i) => node(`${i}`, { cpu: free + used }, { cpu: free }));
          const made = planGroup(
            nodes,
            cpus.map((cpu) => ({ cpu })),
            strategy,
          );
          const possible =
            strategy === 'strictPack' ? nodes.some(({ free }) => free.cpu! >= cpus.reduce((x, y) => x + y)) : null;
          if (possible !== null) expect(made.kind === 'nodes').toBe(possible);
          if (made.kind !== 'nodes') return;
          const taken = new Map<NodeView, Resources>();
          for (const [i, at] of made.nodes.entries()) taken.set(at, plus(taken.get(at) ?? {}, { cpu: cpus[i]! }));
          for (const [at, amounts] of taken) expect(fits(amounts, at.free)).toBe(true);
          if (strategy === 'strictPack') expect(taken.size).toBe(1);
          if (strategy === 'strictSpread') expect(taken.size).toBe(cpus.length);
        },
      ),
    );
  });
});

describe('the resources of a node', () => {
  it('are reserved for bundles, used within them, and free again when nothing runs there any more', () => {
    const resources = new NodeResources({ cpu: 4, gpu: 2 }, ['0', '1']);
    expect(resources.reserve('g/0', 'driver', { cpu: 2, gpu: 1 })).toBe(true);
    expect(resources.reserve('g/0', 'driver', { cpu: 2, gpu: 1 })).toBe(true);
    expect(resources.reserve('g/1', 'driver', { cpu: 3 })).toBe(false);
    expect(resources.free).toEqual({ cpu: 2, gpu: 1 });
    expect(resources.take({ cpu: 1 }, 'g/1')).toBeNull();
    expect(resources.take({ cpu: 3 }, 'g/0')).toBeNull();
    const inside = resources.take({ cpu: 1, gpu: 1 }, 'g/0')!;
    const outside = resources.take({ cpu: 1, gpu: 1 }, null)!;
    expect(new Set([...inside.gpuIds, ...outside.gpuIds])).toEqual(new Set(['0', '1']));
    expect(resources.bundlesOf('driver')).toEqual(['g/0']);
    resources.unreserve('g/0');
    expect(resources.take({ cpu: 1 }, 'g/0')).toBeNull();
    expect(resources.reserve('g/0', 'driver', { cpu: 1 })).toBe(false);
    expect(resources.free).toEqual({ cpu: 1, gpu: 0 });
    resources.giveBack(inside);
    expect(resources.free).toEqual({ cpu: 3, gpu: 1 });
    resources.giveBack(outside);
    expect(resources.free).toEqual({ cpu: 4, gpu: 2 });
    expect(resources.reserved).toEqual([]);
  });

  it('give shares of a GPU within a bundle that has a share', () => {
    const resources = new NodeResources({ gpu: 1 }, ['0']);
    resources.reserve('half', 'driver', { gpu: 0.5 });
    expect(resources.take({ gpu: 0.6 }, 'half')).toBeNull();
    expect(resources.take({ gpu: 0.5 }, 'half')?.gpuIds).toEqual(['0']);
    expect(resources.take({ gpu: 0.1 }, 'half')).toBeNull();
    expect(resources.take({ gpu: 0.5 }, null)?.gpuIds).toEqual(['0']);
  });
});
