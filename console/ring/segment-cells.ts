import type { FeedSegment } from '../../src/console/feed-messages.js';
import { type Point, pointAt, type WorkerArc } from './ring-layout.js';

/** Where the copies of the hottest segments stand on the ring: in rows inside the arcs of the workers that have them. Pure. */

/** `home`: the worker has to keep it, and has it. `guest`: it has it because it computed or fetched it. `lacking`: it has to keep it, and lacks it. */
export type CopyRole = 'home' | 'guest' | 'lacking';

export interface SegmentCell extends Point {
  readonly segment: string;
  readonly worker: string;
  readonly role: CopyRole;
  /** How hot the segment is, 0 to 1. */
  readonly heat: number;
}

/** Radii of the rows, outermost first. */
const ROWS = [203, 191] as const;
/** Distance of two cells in a row. @internal exported for tests. */
export const CELL_PITCH = 11;
/** As many hits in a minute are hot, if no segment has more. */
const HOT_HITS = 8;

/** The workers that have a segment or have to, with what it is to them: homes first. */
export function copiesOf({ homes, holders }: FeedSegment): { readonly worker: string; readonly role: CopyRole }[] {
  const kept = homes.map((worker) => ({ worker, role: holders.includes(worker) ? 'home' : 'lacking' }) as const);
  const guests = holders
    .filter((worker) => !homes.includes(worker))
    .map((worker) => ({ worker, role: 'guest' as const }));
  return [...kept, ...guests];
}

/**
 * The cells of all arcs that are not dead. An arc with too little room shows its hottest segments. A segment keeps its place, so far as the others of the
 * arc let it.
 */
export function segmentCells(arcs: readonly WorkerArc[], segments: Iterable<FeedSegment>): SegmentCell[] {
  const hottest = [...segments].toSorted((a, b) => b.hits - a.hits);
  const most = Math.log1p(Math.max(HOT_HITS, hottest[0]?.hits ?? 0));
  const wanted = new Map<string, { readonly segment: string; readonly role: CopyRole; readonly heat: number }[]>();
  for (const segment of hottest) {
    for (const { worker, role } of copiesOf(segment)) {
      const cells = wanted.get(worker) ?? [];
      wanted.set(worker, cells);
      cells.push({ segment: segment.id, role, heat: Math.log1p(segment.hits) / most });
    }
  }
  return arcs.flatMap((arc) => {
    if (arc.worker.state === 'dead') return [];
    const places = placesOf(arc);
    const own = (wanted.get(arc.worker.id) ?? []).slice(0, places.length);
    const taken = new Set<number>();
    return own
      .toSorted((a, b) => (a.segment < b.segment ? -1 : 1))
      .map((cell) => {
        let at = hashOf(cell.segment) % places.length;
        while (taken.has(at)) at = (at + 1) % places.length;
        taken.add(at);
        return { ...cell, ...places[at]!, worker: arc.worker.id };
      });
  });
}

/** The places for cells inside an arc: at least one. */
function placesOf({ from, to }: WorkerArc): Point[] {
  return ROWS.flatMap((radius) => {
    const count = Math.max(1, Math.floor(((to - from) * radius) / CELL_PITCH));
    return Array.from({ length: count }, (_, i) => pointAt(from + ((i + 0.5) * (to - from)) / count, radius));
  });
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** Half the width of a cell, for a cold segment and for the hottest. */
const [LEAST, MOST] = [2.2, 4.8] as const;
/** Shades of heat. */
const LEVELS = 4;

/** The cells of one role and one shade. */
export interface CellPath {
  readonly role: CopyRole;
  /** Opacity, 0 to 1. */
  readonly level: number;
  readonly path: string;
}

/** The cells as a few SVG paths: squares for homes and copies that are lacking, discs for guests. */
export function cellPaths(cells: readonly SegmentCell[]): CellPath[] {
  const paths = new Map<string, CellPath>();
  for (const { x, y, role, heat } of cells) {
    const level = 0.4 + (0.6 * Math.round(heat * (LEVELS - 1))) / (LEVELS - 1);
    const half = LEAST + heat * (MOST - LEAST);
    const name = `${role} ${level}`;
    const path = (paths.get(name)?.path ?? '') + (role === 'guest' ? disc(x, y, half) : square(x, y, half));
    paths.set(name, { role, level, path });
  }
  return [...paths.values()];
}

/** Rings around the copies of one segment, as an SVG path. */
export function markPath(cells: readonly SegmentCell[], chosen: string): string {
  return cells.map(({ segment, x, y }) => (segment === chosen ? disc(x, y, MOST + 4) : '')).join('');
}

function square(x: number, y: number, half: number): string {
  return `M${(x - half).toFixed(1)} ${(y - half).toFixed(1)}h${(2 * half).toFixed(1)}v${(2 * half).toFixed(1)}h${(-2 * half).toFixed(1)}z`;
}

function disc(x: number, y: number, radius: number): string {
  const [r, d] = [radius.toFixed(1), (2 * radius).toFixed(1)];
  return `M${(x - radius).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${d} 0a${r} ${r} 0 1 0 -${d} 0z`;
}
