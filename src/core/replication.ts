import type { BlockKey, BlockMeta, BlockRole } from './block.js';

/** Decides which blocks a worker copies to which homes: new blocks, and all blocks after a ring change. */

/** The homes of a segment on a given ring: its first R distinct workers clockwise. */
export type HomesOf = (segment: BlockKey) => readonly string[];

/** The same homes, each segment looked up once. */
export function homesOnce(homesOf: HomesOf): HomesOf {
  const known = new Map<BlockKey, readonly string[]>();
  return (segment) => {
    const homes = known.get(segment) ?? homesOf(segment);
    known.set(segment, homes);
    return homes;
  };
}

/** Blocks of one segment, in order, to copy to a worker. */
export interface Push<B extends BlockMeta> {
  readonly to: string;
  readonly segment: BlockKey;
  readonly blocks: readonly B[];
}

/** The role in which a worker keeps a block. */
export function roleOf(block: BlockMeta, self: string, homesOf: HomesOf): BlockRole {
  return homesOf(block.segment).includes(self) ? 'home' : 'guest';
}

/** The copies of new blocks: one to each of their homes except this worker. */
export function pushesOf<B extends BlockMeta>(blocks: readonly B[], self: string, homesOf: HomesOf): Push<B>[] {
  return bySegment(blocks).flatMap(({ segment, blocks: own }) =>
    homesOf(segment)
      .filter((home) => home !== self)
      .map((to) => ({ to, segment, blocks: own })),
  );
}

export interface RingChange<B extends BlockMeta> {
  /** Blocks of this worker whose role changes. */
  readonly roles: readonly { readonly key: BlockKey; readonly role: BlockRole }[];
  /** Blocks to copy now to workers that became their homes. */
  readonly pushes: readonly Push<B>[];
  /** Blocks that other workers should copy to new homes; this worker offers them later to make sure. */
  readonly checks: readonly Push<B>[];
}

/** The workers at the time of a ring change, as this worker sees them. */
export interface RingChangeContext {
  readonly self: string;
  /** Whether a worker is alive and still has its blocks, with or without a place on the ring. */
  readonly present: (worker: string) => boolean;
  /** After the loss of a worker that may have owed copies to recent homes: the rings of the last minute, to find homes that are recent. Else empty. */
  readonly unsettled: readonly HomesOf[];
}

/**
 * The consequences of a ring change for the blocks of this worker. The first of a segment's old homes that is still present pushes copies to
 * a new home at once; if none is present, every worker with a copy does. The pushing worker may lack the blocks, or die before it has finished.
 * Every other worker with a copy therefore offers it to the new home later, which costs one message without blocks in the normal case.
 *
 * A worker that had its copy before the change has thus provided for every new home. A worker that received its copy later relies on the worker
 * that pushed it, which may be the one that was lost. After a loss, every worker with a copy therefore offers it to all recent homes. Homes of
 * long standing are left alone: they lack only blocks for which they had no room.
 */
export function ringChange<B extends BlockMeta>(
  residents: readonly B[],
  before: HomesOf,
  after: HomesOf,
  { self, present, unsettled }: RingChangeContext,
): RingChange<B> {
  const roles: { key: BlockKey; role: BlockRole }[] = [];
  const pushes: Push<B>[] = [];
  const checks: Push<B>[] = [];
  for (const { segment, blocks } of bySegment(residents)) {
    const [old, next] = [before(segment), after(segment)];
    const role: BlockRole = next.includes(self) ? 'home' : 'guest';
    if (old.includes(self) !== next.includes(self)) roles.push(...blocks.map(({ key }) => ({ key, role })));
    const source = old.find((home) => home === self || present(home)) ?? self;
    for (const to of next.filter((home) => home !== self)) {
      const fresh = !old.includes(to);
      if (fresh && source === self) pushes.push({ to, segment, blocks });
      else if (fresh || unsettled.some((homesOf) => !homesOf(segment).includes(to)))
        checks.push({ to, segment, blocks });
    }
  }
  return { roles, pushes, checks };
}

/** Groups blocks by segment, each segment in order. */
function bySegment<B extends BlockMeta>(blocks: readonly B[]): { segment: BlockKey; blocks: readonly B[] }[] {
  const segments = new Map<BlockKey, B[]>();
  for (const block of blocks) {
    const own = segments.get(block.segment);
    if (own === undefined) segments.set(block.segment, [block]);
    else own.push(block);
  }
  return [...segments].map(([segment, own]) => ({ segment, blocks: own.sort((a, b) => a.index - b.index) }));
}
