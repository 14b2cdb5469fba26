import { useMemo } from 'preact/hooks';
import type { FeedSegment } from '../../src/console/feed-messages.js';
import type { WorkerArc } from './ring-layout.js';
import { cellPaths, markPath, segmentCells } from './segment-cells.js';

/** The copies of the hottest segments, as a few paths of the ring's drawing: a canvas of their own would be composed anew with each frame. */

export interface SegmentLayerProps {
  readonly arcs: readonly WorkerArc[];
  readonly segments: ReadonlyMap<string, FeedSegment>;
  /** The segment whose copies are marked; null for none. */
  readonly chosen: string | null;
}

export function SegmentLayer({ arcs, segments, chosen }: SegmentLayerProps) {
  // Arcs are made anew with each state of the fleet, and seldom differ in their places.
  const shape = arcs.map(({ worker, from, to }) => `${worker.id} ${worker.state === 'dead'} ${from} ${to}`).join();
  const cells = useMemo(() => segmentCells(arcs, segments.values()), [shape, segments]);
  const paths = useMemo(() => cellPaths(cells), [cells]);
  return (
    <g class="cells">
      {paths.map(({ role, level, path }) => (
        <path key={`${role} ${level}`} class={role} style={{ fillOpacity: level }} d={path} />
      ))}
      {chosen !== null && <path class="ringed" d={markPath(cells, chosen)} />}
    </g>
  );
}
