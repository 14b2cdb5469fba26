import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BlockMeta } from '../../../../src/core/block.js';
import { withDescendants } from '../../../../workers/audit/descendants.js';

it('of blocks are exactly those whose chain of parents leads to a root, in whatever order the blocks come', () => {
  // Block i has a parent among the blocks before it, or none; some blocks are not here.
  const forest = fc.array(fc.record({ parent: fc.nat(), root: fc.boolean(), here: fc.boolean(), order: fc.nat() }));
  fc.assert(
    fc.property(forest, (nodes) => {
      const parentOf = (i: number) => (i === 0 || nodes[i]!.root ? null : nodes[i]!.parent % i);
      const metas = nodes.map((_, i): BlockMeta => {
        const parent = parentOf(i);
        return { key: String(i), parent: parent === null ? null : String(parent), index: 0, segment: '' };
      });
      const here = metas.filter((_, i) => nodes[i]!.here);
      const shuffled = here.toSorted((a, b) => nodes[Number(a.key)]!.order - nodes[Number(b.key)]!.order);
      // A chain is known only as far as the blocks that are here show it.
      const leads = (i: number): boolean => {
        if (i === 0) return true;
        const parent = parentOf(i);
        return nodes[i]!.here && parent !== null && leads(parent);
      };
      const expected = here.filter(({ key }) => leads(Number(key))).map(({ key }) => key);
      expect([...withDescendants(shuffled, ['0'])].toSorted()).toEqual(expected.toSorted());
    }),
  );
});
