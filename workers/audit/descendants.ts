import type { BlockKey, BlockMeta } from '../../src/core/block.js';

/** Of these blocks, the given roots and all descendants that can be traced to a root through these blocks. */
export function withDescendants(blocks: Iterable<BlockMeta>, roots: Iterable<BlockKey>): Set<BlockKey> {
  const here = new Set<BlockKey>();
  const children = new Map<BlockKey, BlockKey[]>();
  for (const { key, parent } of blocks) {
    if (here.has(key)) continue;
    here.add(key);
    if (parent === null) continue;
    const siblings = children.get(parent);
    if (siblings) siblings.push(key);
    else children.set(parent, [key]);
  }
  const found = new Set<BlockKey>();
  const visited = new Set<BlockKey>();
  const open = [...roots];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    if (visited.has(key)) continue;
    visited.add(key);
    if (here.has(key)) found.add(key);
    open.push(...(children.get(key) ?? []));
  }
  return found;
}
