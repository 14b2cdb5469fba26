import type { FeedWorker } from '../../src/console/feed-messages.js';

/** Where the workers stand on the ring. Pure; angles in radians, clockwise from the top. */

export interface WorkerArc {
  readonly worker: FeedWorker;
  readonly from: number;
  readonly to: number;
  /** Where the used part of the worker's memory ends. */
  readonly usedTo: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Share of the circle between two arcs, for few workers and for many. */
const GAP = 0.02;
const GAPS_TOGETHER = 0.12;
/** Arcs are at least this share of the average, so that each can be seen and pointed at. */
const LEAST_SHARE = 0.4;

/** An arc for each worker, in proportion to its memory: its share of the ring. */
export function ringLayout(workers: readonly FeedWorker[]): WorkerArc[] {
  if (workers.length === 0) return [];
  const circle = 2 * Math.PI;
  const gap = workers.length === 1 ? 0 : Math.min(GAP * circle, (GAPS_TOGETHER * circle) / workers.length);
  const average = workers.reduce((sum, { budget }) => sum + budget, 0) / workers.length || 1;
  const weights = workers.map(({ budget }) => Math.max(LEAST_SHARE, budget / average));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const room = circle - gap * workers.length;
  let at = gap / 2;
  return workers.map((worker, index) => {
    const from = at;
    const to = from + (room * weights[index]!) / total;
    at = to + gap;
    const used = worker.budget === 0 ? 0 : Math.min(1, worker.bytes / worker.budget);
    return { worker, from, to, usedTo: from + used * (to - from) };
  });
}

/** The middle of an arc. */
export function middleOf({ from, to }: Pick<WorkerArc, 'from' | 'to'>): number {
  return (from + to) / 2;
}

/** The point at an angle and a distance from the centre. */
export function pointAt(angle: number, radius: number): Point {
  return { x: radius * Math.sin(angle), y: -radius * Math.cos(angle) };
}

/** The least distance of a curve between two points from the centre, so that it does not cross the text there. */
const CLEAR_RADIUS = 74;

/** A way between two points: straight, or bent towards a third. */
export interface CurvedWay {
  readonly from: Point;
  readonly bend: Point;
  readonly to: Point;
}

/** A curve that bends towards the centre, but round it: the ways of neighbours stay apart from the arcs. */
export function curvedWay(from: Point, to: Point): CurvedWay {
  return { from, bend: bendOf(from, to), to };
}

export function straightWay(from: Point, to: Point): CurvedWay {
  return { from, bend: { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 }, to };
}

/** One coordinate of the point at a share of a way, 0 to 1. A number, since frames draw many and should leave no garbage. */
export function onWay({ from, bend, to }: CurvedWay, coordinate: 'x' | 'y', share: number): number {
  const left = 1 - share;
  return left * left * from[coordinate] + 2 * left * share * bend[coordinate] + share * share * to[coordinate];
}

function bendOf(from: Point, to: Point): Point {
  const bend = { x: (from.x + to.x) * 0.2, y: (from.y + to.y) * 0.2 };
  // The curve's middle is between the bend and the middle of both ends.
  const middle = { x: (from.x + to.x) / 4 + bend.x / 2, y: (from.y + to.y) / 4 + bend.y / 2 };
  const distance = Math.hypot(middle.x, middle.y);
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  if (distance >= CLEAR_RADIUS || length < 2 * CLEAR_RADIUS) return bend;
  const aside = (2 * (CLEAR_RADIUS - distance)) / length;
  const side = middle.x * (from.y - to.y) + middle.y * (to.x - from.x) < 0 ? -1 : 1;
  return { x: bend.x + side * aside * (from.y - to.y), y: bend.y + side * aside * (to.x - from.x) };
}
