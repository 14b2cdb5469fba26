import type { FleetModel } from '../feed/fleet-model.js';
import type { RequestTrace } from '../feed/request-trace.js';
import { copiesWithin } from './flow-legs.js';
import {
  type CurvedWay,
  curvedWay,
  middleOf,
  type Point,
  pointAt,
  straightWay,
  type WorkerArc,
} from './ring-layout.js';
import { type Leg, type LegKind, legsOf, mayShow } from './travel.js';

/** The requests and copies around a time, with their places on the ring: worked out when something changes, so that frames only draw. Pure. */

/** Radius of the ring's inside, in units of the drawing, whose centre is 0. */
export const INNER_RADIUS = 214;
export const OUTER_RADIUS = 244;
export const HUB_RADIUS = 52;
/** How much of the time ahead is worked out. */
const AHEAD_MS = 500;

export interface DrawnLeg {
  readonly start: number;
  readonly end: number;
  /** The place of the request inside the arc of its worker, and in the middle of the arc. */
  readonly mark: Point;
  readonly light: Point;
  /** Along which something moves; null if nothing does, or if nobody knows from where. */
  readonly way: CurvedWay | null;
}

/** Blocks that are copied from one worker to another. */
export interface DrawnCopies {
  readonly at: number;
  readonly copied: number;
  readonly way: CurvedWay;
}

/** Legs by trace: a trace never changes, a new step makes a new one. */
const legs = new WeakMap<RequestTrace, readonly Leg[]>();

export class DrawnScene {
  readonly legs: Readonly<Record<LegKind, DrawnLeg[]>> = {
    ...{ placed: [], waiting: [], local: [], remote: [] },
    ...{ computed: [], streamed: [], failed: [] },
  };
  copies: readonly DrawnCopies[] = [];
  /** Nothing can be seen at any time that was worked out. */
  empty = true;
  private model: Pick<FleetModel, 'traces' | 'flows'> | null = null;
  private arcs: readonly WorkerArc[] = [];
  private from = 0;

  /** Call it before each frame: it does nothing unless something has changed, or the time has left what is worked out. */
  follow(model: Pick<FleetModel, 'traces' | 'flows'>, arcs: readonly WorkerArc[], time: number): void {
    const known = model.traces === this.model?.traces && model.flows === this.model.flows && arcs === this.arcs;
    if (known && time >= this.from && time < this.from + AHEAD_MS) return;
    this.model = model;
    this.arcs = arcs;
    this.from = time;
    const byWorker = new Map(arcs.map((arc) => [arc.worker.id, arc]));
    for (const list of Object.values(this.legs)) list.length = 0;
    for (const trace of model.traces.values()) {
      if (mayShow(trace, time, time + AHEAD_MS)) this.add(trace, byWorker);
    }
    this.copies = copiesWithin(model.flows, time, time + AHEAD_MS).flatMap(({ at, from, to, copied }) => {
      const [source, target] = [byWorker.get(from), byWorker.get(to)];
      if (source === undefined || target === undefined) return [];
      return [{ at, copied, way: curvedWay(insideOf(source), insideOf(target)) }];
    });
    this.empty = this.copies.length === 0 && Object.values(this.legs).every(({ length }) => length === 0);
  }

  private add(trace: RequestTrace, byWorker: ReadonlyMap<string, WorkerArc>): void {
    for (const leg of legsFor(trace)) {
      const arc = byWorker.get(leg.worker);
      if (arc === undefined || leg.end <= this.from || leg.start > this.from + AHEAD_MS) continue;
      this.legs[leg.kind].push(drawnLeg(leg, arc, trace.id, leg.from === null ? undefined : byWorker.get(leg.from)));
    }
  }
}

function drawnLeg({ kind, start, end }: Leg, arc: WorkerArc, request: number, source?: WorkerArc): DrawnLeg {
  const angle = spread(arc, request);
  const [mark, light] = [pointAt(angle, INNER_RADIUS), pointAt(angle, (INNER_RADIUS + OUTER_RADIUS) / 2)];
  const hub = pointAt(angle, HUB_RADIUS);
  const leg = { start, end, mark, light };
  switch (kind) {
    case 'placed':
      return { ...leg, way: straightWay(hub, mark) };
    case 'streamed':
      return { ...leg, way: straightWay(mark, hub) };
    case 'remote':
      return { ...leg, way: source === undefined ? null : curvedWay(insideOf(source), mark) };
    default:
      return { ...leg, way: null };
  }
}

function legsFor(trace: RequestTrace): readonly Leg[] {
  const known = legs.get(trace);
  if (known !== undefined) return known;
  const made = legsOf(trace);
  legs.set(trace, made);
  return made;
}

function insideOf(arc: WorkerArc): Point {
  return pointAt(middleOf(arc), INNER_RADIUS);
}

/** Requests of one worker stand next to each other, in the middle part of its arc. */
function spread(arc: WorkerArc, request: number): number {
  const place = ((request * 7) % 13) / 13 - 0.5;
  return middleOf(arc) + place * 0.7 * Math.min(arc.to - arc.from, 0.9);
}
