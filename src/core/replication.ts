import type { BlockKey, BlockMeta, BlockRole } from './block.js';

/** Whose copy of a block is a duty, and which copies are made when blocks or rings are new. */

/** The homes of a segment under some ring: its first R distinct workers clockwise. */
export type HomesOf = (segment: BlockKey) => readonly string[];

/** Blocks of one segment, in order, that are to be copied to a worker. */
export interface Push<B extends BlockMeta> {
  readonly to: string;
  readonly segment: BlockKey;
  readonly blocks: readonly B[];
}

/** In what role a worker keeps a block. */
export function roleOf(block: BlockMeta, self: string, homesOf: HomesOf): BlockRole {
  return homesOf(block.segment).includes(self) ? 'home' : 'guest';
}

/** Where copies of new blocks go: to all their homes but this worker. */
export function pushesOf<B extends BlockMeta>(blocks: readonly B[], self: string, homesOf: HomesOf): Push<B>[] {
  return bySegment(blocks).flatMap(({ segment, blocks: own }) =>
    homesOf(segment)
      .filter((home) => home !== self)
      .map((to) => ({ to, segment, blocks: own })),
  );
}

export interface RingChange<B extends BlockMeta> {
  /** Blocks that are kept here in another role than before. */
  readonly roles: readonly { readonly key: BlockKey; readonly role: BlockRole }[];
  /** Blocks to copy to workers that became their homes. */
  readonly pushes: readonly Push<B>[];
  /** Blocks that homes should come to have without this worker: to be offered to them later. */
  readonly checks: readonly Push<B>[];
}

/** Who was there when the ring changed. */
export interface Witness {
  readonly self: string;
  /** Can this worker still act, with what it had, whether or not it has a place on the ring? */
  readonly present: (worker: string) => boolean;
  /** Where homes that came to be homes lately were none yet, if a worker was lost that may have owed them copies; else none. */
  readonly unsettled: readonly HomesOf[];
}

/**
 * What another ring means for the blocks that are here. A new home is given its copies at once by the first of the old homes that is still
 * there; if none is, by everybody who has a copy. But that one may have nothing yet, or die before it is done. So everybody else who has a copy
 * makes sure of it later, which costs a message without blocks where all went well.
 *
 * Whoever had a copy all along has thus seen to every home. Who was given one relies on the giver; when a worker is lost, that may be who it was,
 * so everybody who has a copy sees to the homes that are new. Homes of long standing are left alone: what they lack, they had no room for.
 */
export function ringChange<B extends BlockMeta>(
  residents: readonly B[],
  before: HomesOf,
  after: HomesOf,
  { self, present, unsettled }: Witness,
): RingChange<B> {
  const roles: { key: BlockKey; role: BlockRole }[] = [];
  const pushes: Push<B>[] = [];
  const checks: Push<B>[] = [];
  for (const { segment, blocks } of bySegment(residents)) {
    const [old, next] = [before(segment), after(segment)];
    const role: BlockRole = next.includes(self) ? 'home' : 'guest';
    if (old.includes(self) !== next.includes(self)) roles.push(...blocks.map(({ key }) => ({ key, role })));
    const giver = old.find((home) => home === self || present(home)) ?? self;
    for (const to of next.filter((home) => home !== self)) {
      const fresh = !old.includes(to);
      if (fresh && giver === self) pushes.push({ to, segment, blocks });
      else if (fresh || unsettled.some((homesOf) => !homesOf(segment).includes(to)))
        checks.push({ to, segment, blocks });
    }
  }
  return { roles, pushes, checks };
}

/** Blocks together with those of their segment, each segment in order. */
function bySegment<B extends BlockMeta>(blocks: readonly B[]): { segment: BlockKey; blocks: readonly B[] }[] {
  const segments = new Map<BlockKey, B[]>();
  for (const block of blocks) {
    const own = segments.get(block.segment);
    if (own === undefined) segments.set(block.segment, [block]);
    else own.push(block);
  }
  return [...segments].map(([segment, own]) => ({ segment, blocks: own.sort((a, b) => a.index - b.index) }));
}
