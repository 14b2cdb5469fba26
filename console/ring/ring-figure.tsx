import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { FeedSegment, FeedWorker } from '../../src/console/feed-messages.js';
import type { FleetModel } from '../feed/fleet-model.js';
import { paletteOf } from '../parts/palette.js';
import { byteText, percent } from '../parts/words.js';
import { isLiving, runningOn } from '../workers/living.js';
import { arcPath } from './arc-path.js';
import { DrawnScene, HUB_RADIUS, INNER_RADIUS, OUTER_RADIUS } from './drawn-scene.js';
import { drawScene, fitToPage, HALF } from './ring-canvas.js';
import { middleOf, pointAt, ringLayout, type WorkerArc } from './ring-layout.js';
import { SegmentLayer } from './segment-layer.js';

/** The ring: an arc for each worker, and over it the requests in progress. */

/** Up to this many workers, an arc has a label with its numbers; up to as many again and a half, its name. */
const LABELLED = 12;
const NAMED = 32;

export interface RingFigureProps {
  /** As they are at the time that is shown. */
  readonly workers: readonly FeedWorker[];
  readonly segments: ReadonlyMap<string, FeedSegment>;
  /** The segment whose copies are marked; null for none. */
  readonly chosen: string | null;
  /** The model now, for each frame. */
  readonly model: () => FleetModel;
  /** The time that is shown, for each frame. */
  readonly time: () => number;
  readonly selected: string | null;
  readonly onSelect: (worker: string | null) => void;
}

export function RingFigure({ workers, segments, chosen, model, time, selected, onSelect }: RingFigureProps) {
  const arcs = useMemo(() => ringLayout(workers), [workers]);
  const canvas = useRef<HTMLCanvasElement>(null);
  const shown = useRef(arcs);
  shown.current = arcs;
  useEffect(() => {
    const motion = matchMedia('(prefers-reduced-motion: reduce)');
    const element = canvas.current!;
    const resized = new ResizeObserver(() => fitToPage(element));
    resized.observe(element);
    const scene = new DrawnScene();
    let frame = 0;
    const draw = () => {
      const now = time();
      scene.follow(model(), shown.current, now);
      drawScene(element, scene, { time: now, palette: paletteOf(), still: motion.matches });
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => {
      cancelAnimationFrame(frame);
      resized.disconnect();
    };
  }, [model, time]);
  return (
    <div class="ring">
      {/* biome-ignore lint/a11y/useSemanticElements: a drawing cannot be a fieldset. */}
      <svg viewBox={`${-HALF} ${-HALF} ${2 * HALF} ${2 * HALF}`} role="group" aria-label="The workers on the ring">
        <circle class="hub" r={HUB_RADIUS} />
        <text class="hub-name" y="-16">
          coordinator
        </text>
        <text class="hub-count" y="6">
          {runningOn(workers)}
        </text>
        <text class="hub-note" y="24">
          running
        </text>
        {arcs.map((arc) => (
          <g key={arc.worker.id} class={`worker ${arc.worker.state}`}>
            <Arc arc={arc} selected={selected === arc.worker.id} onSelect={onSelect} />
            {arcs.length <= NAMED && <Label arc={arc} full={arcs.length <= LABELLED} />}
          </g>
        ))}
        <SegmentLayer {...{ arcs, segments, chosen }} />
      </svg>
      <canvas ref={canvas} />
    </div>
  );
}

interface ArcProps {
  readonly arc: WorkerArc;
  readonly selected: boolean;
  readonly onSelect: (worker: string | null) => void;
}

/** Rendered anew only when something about it has changed: a fleet may have many arcs. */
function Arc({ arc, selected, onSelect }: ArcProps) {
  const { worker, from, to, usedTo } = arc;
  const counts = `: ${worker.blocks} blocks, ${byteText(worker.bytes)} of ${byteText(worker.budget)}`;
  const name = `${worker.id}, ${worker.state}${isLiving(worker) ? counts : ''}`;
  const choose = useRef(onSelect);
  choose.current = onSelect;
  return useMemo(() => {
    const toggle = () => choose.current(selected ? null : worker.id);
    return (
      // biome-ignore lint/a11y/useSemanticElements: a button cannot stand in a drawing.
      <g
        class={`arc${selected ? ' selected' : ''}`}
        role="button"
        tabIndex={0}
        aria-label={name}
        aria-pressed={selected}
        onClick={toggle}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' && event.key !== ' ') return;
          event.preventDefault();
          toggle();
        }}
      >
        <title>{name}</title>
        <path class="share" d={arcPath(from, to, INNER_RADIUS, OUTER_RADIUS)} />
        {usedTo > from && <path class="used" d={arcPath(from, usedTo, INNER_RADIUS, OUTER_RADIUS)} />}
      </g>
    );
  }, [worker.id, name, selected, from, to, usedTo]);
}

function Label({ arc, full }: { readonly arc: WorkerArc; readonly full: boolean }) {
  const { worker } = arc;
  const angle = middleOf(arc);
  const { x, y } = pointAt(angle, OUTER_RADIUS + 14);
  const side = Math.abs(x) < 60 ? 'middle' : x > 0 ? 'start' : 'end';
  // Beside the ring there is little room: labels stand a little above and below the middle of its sides.
  const lift = y < 0 ? -10 : 14;
  return (
    <text class="label" x={Math.max(-HALF + 4, Math.min(HALF - 4, x))} y={y + lift} text-anchor={side}>
      <tspan class="name">{worker.id}</tspan>
      {full && (
        <tspan class="note" x={Math.max(-HALF + 4, Math.min(HALF - 4, x))} dy="15">
          {worker.state === 'serving'
            ? `${worker.blocks} blocks · ${percent(worker.bytes, worker.budget)}`
            : worker.state}
        </tspan>
      )}
    </text>
  );
}
