import type { Clock } from '../../src/clock.js';
import type { FeedSegment, TokensBySource } from '../../src/console/feed-messages.js';
import type { BlockKey, BlockMeta } from '../../src/core/block.js';
import { BLOCK_TOKENS } from '../../src/limits.js';

/** Counts how often requests find each segment, and lists the hottest segments with the workers that have them. */

/** Segments that are counted. The one that was used least recently is forgotten first. @internal exported for tests. */
export const COUNTED_SEGMENTS = 2_048;
/** Segments of one list. @internal exported for tests. */
export const LISTED_SEGMENTS = 96;
/** Time in which a count falls to 1/e without hits: it is about the hits of the last minute. @internal exported for tests. */
export const HEAT_MS = 60_000;
/** Hexadecimal digits of a key that name a segment on the page. */
const ID_CHARS = 12;

interface Heat {
  hits: number;
  /** When `hits` was true. */
  atMs: number;
  blocks: number;
}

/** Where the copies of a segment are, and where they belong. */
export interface SegmentPlaces {
  holders(key: BlockKey): readonly string[];
  homes(segment: BlockKey): readonly string[];
}

export class SegmentHeat {
  /** Least recently used first. */
  private readonly heats = new Map<BlockKey, Heat>();

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly places: SegmentPlaces,
  ) {}

  /** A request uses these blocks, of which the first were found and the others are being computed. */
  used(blocks: readonly BlockMeta[], { local, remote }: TokensBySource): void {
    const found = Math.floor((local + remote) / BLOCK_TOKENS);
    const sizes = new Map<BlockKey, { blocks: number; hit: boolean }>();
    for (const { segment, index } of blocks) {
      const size = sizes.get(segment) ?? { blocks: 0, hit: index < found };
      size.blocks++;
      sizes.set(segment, size);
    }
    for (const [segment, { blocks: count, hit }] of sizes) this.touch(segment, count, hit);
  }

  /** The hottest segments that some worker has, hottest first. Those that were computed and never found come last, the latest first. */
  list(): FeedSegment[] {
    const nowMs = this.clock.now();
    const listed: FeedSegment[] = [];
    const ranked = [...this.heats]
      .reverse()
      .map(([segment, heat]) => ({ segment, blocks: heat.blocks, hits: rounded(hitsAt(heat, nowMs)) }))
      .sort((a, b) => b.hits - a.hits);
    for (const { segment, blocks, hits } of ranked) {
      if (listed.length === LISTED_SEGMENTS) break;
      const holders = this.places.holders(segment);
      if (holders.length === 0) continue;
      const homes = [...this.places.homes(segment)];
      listed.push({ id: segment.slice(0, ID_CHARS), hits, blocks, homes, holders: [...holders] });
    }
    return listed;
  }

  private touch(segment: BlockKey, blocks: number, hit: boolean): void {
    const nowMs = this.clock.now();
    const known = this.heats.get(segment);
    const hits = (known === undefined ? 0 : hitsAt(known, nowMs)) + (hit ? 1 : 0);
    this.heats.delete(segment);
    this.heats.set(segment, { hits, atMs: nowMs, blocks: Math.max(blocks, known?.blocks ?? 0) });
    if (this.heats.size > COUNTED_SEGMENTS) this.heats.delete(this.heats.keys().next().value!);
  }
}

function hitsAt({ hits, atMs }: Heat, nowMs: number): number {
  return hits * Math.exp((atMs - nowMs) / HEAT_MS);
}

/** Whole hits: a list that is sent when it changes must not change with every moment. */
function rounded(hits: number): number {
  return hits < 1 ? Math.round(hits * 2) / 2 : Math.round(hits);
}

/** The segments of a later list that are new or have changed, and the ids of those that are gone; null for no change. Pure. */
export function segmentChanges(
  before: readonly FeedSegment[],
  after: readonly FeedSegment[],
): { readonly segments: FeedSegment[]; readonly gone: string[] } | null {
  const known = new Map(before.map((segment) => [segment.id, JSON.stringify(segment)]));
  const segments = after.filter((segment) => known.get(segment.id) !== JSON.stringify(segment));
  const ids = new Set(after.map(({ id }) => id));
  const gone = before.map(({ id }) => id).filter((id) => !ids.has(id));
  return segments.length + gone.length === 0 ? null : { segments, gone };
}
