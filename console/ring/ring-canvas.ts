import type { TimedFlow } from '../feed/fleet-model.js';
import type { RequestTrace } from '../feed/request-trace.js';
import { copiesAt, FLOW_MS } from './flow-legs.js';
import { chordPoint, middleOf, type Point, pointAt, type WorkerArc } from './ring-layout.js';
import { type Leg, legsOf, mayShow } from './travel.js';

/** Draws the requests and copies of one moment on a canvas that lies over the ring. */

/** Radius of the ring's inside, in units of the drawing, whose centre is 0. */
export const INNER_RADIUS = 214;
export const OUTER_RADIUS = 244;
export const HUB_RADIUS = 52;
/** The drawing goes from minus this to plus this. */
export const HALF = 320;
/** Time between two dots of a stream, and of a transfer. */
const DOT_MS = 140;
const FLIGHT_MS = 420;
/** Squares of one flow of copies: one for each block up to this many, and the time between two. */
const COPY_SQUARES = 6;
const COPY_GAP_MS = 120;
/** Parts of a chord that is drawn. */
const CHORD = Array.from({ length: 17 }, (_, i) => i / 16);

/** Colours by meaning, read from the style of the page. */
export type Palette = Readonly<Record<'ink' | 'local' | 'remote' | 'computed' | 'copy' | 'bad' | 'faint', string>>;

export interface Scene {
  readonly arcs: readonly WorkerArc[];
  readonly traces: Iterable<RequestTrace>;
  /** Oldest first. */
  readonly flows: readonly TimedFlow[];
  readonly time: number;
  readonly palette: Palette;
  /** Without motion, legs are lines. */
  readonly still: boolean;
}

/** Legs by trace: a trace never changes, a new step makes a new one. */
const legs = new WeakMap<RequestTrace, readonly Leg[]>();

/** Canvases with nothing on them: they are left alone while nothing travels, so that a page that rests costs nothing. */
const blank = new WeakSet<HTMLCanvasElement>();

export function drawScene(canvas: HTMLCanvasElement, scene: Scene): void {
  const shown = [...scene.traces].filter((trace) => mayShow(trace, scene.time));
  const copies = copiesAt(scene.flows, scene.time);
  const empty = shown.length + copies.length === 0;
  if (empty && blank.has(canvas)) return;
  const context = cleared(canvas);
  if (context === null) return;
  if (empty) blank.add(canvas);
  else blank.delete(canvas);
  const middles = new Map(scene.arcs.map((arc) => [arc.worker.id, arc]));
  for (const flow of copies) drawCopies(context, flow, middles, scene);
  for (const trace of shown) {
    for (const leg of legsFor(trace)) {
      const arc = middles.get(leg.worker);
      if (leg.start > scene.time || leg.end <= scene.time || arc === undefined) continue;
      drawLeg(context, leg, arc, leg.from === null ? undefined : middles.get(leg.from), trace.id, scene);
    }
  }
}

/** Clears the canvas, and sets the centre of the drawing to 0. Null if the browser has no canvas. */
function cleared(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const context = canvas.getContext('2d');
  if (context === null) return null;
  context.setTransform(1, 0, 0, 1, 0, 0);
  const pixels = canvas.width;
  context.clearRect(0, 0, pixels, pixels);
  const scale = pixels / (2 * HALF);
  context.setTransform(scale, 0, 0, scale, pixels / 2, pixels / 2);
  return context;
}

/** Fits the canvas to its size on the page. Call it when that changes: to ask for the size in each frame would cost a layout of the page. */
export function fitToPage(canvas: HTMLCanvasElement): void {
  const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.width = pixels;
  canvas.height = pixels;
}

function legsFor(trace: RequestTrace): readonly Leg[] {
  const known = legs.get(trace);
  if (known !== undefined) return known;
  const made = legsOf(trace);
  legs.set(trace, made);
  return made;
}

function drawLeg(
  context: CanvasRenderingContext2D,
  leg: Leg,
  arc: WorkerArc,
  source: WorkerArc | undefined,
  request: number,
  { time, palette, still }: Scene,
): void {
  const angle = spread(arc, request);
  const end = pointAt(angle, INNER_RADIUS);
  const hub = pointAt(angle, HUB_RADIUS);
  const share = (time - leg.start) / (leg.end - leg.start);
  switch (leg.kind) {
    case 'placed':
      if (still) line(context, [hub, end], palette.ink);
      else comet(context, straight(hub, end), share, palette.ink, 4);
      break;
    case 'waiting':
      circle(context, end, 6, palette.ink);
      break;
    case 'streamed':
      if (still) line(context, [end, hub], palette.computed);
      else dots(context, straight(end, hub), time - leg.start, leg.end - leg.start, palette.ink, 2.6);
      break;
    case 'remote': {
      // Nobody knows yet who sent the blocks, or they came before as copies.
      if (source === undefined) {
        glow(context, angle, palette.remote, 1 - Math.abs(2 * share - 1));
        break;
      }
      const from = pointAt(middleOf(source), INNER_RADIUS);
      const way = (at: number) => chordPoint(from, end, at);
      line(context, CHORD.map(way), palette.remote, 0.5);
      if (!still) dots(context, way, time - leg.start, leg.end - leg.start, palette.remote, 4.5);
      break;
    }
    case 'local':
      glow(context, angle, palette.local, 1 - Math.abs(2 * share - 1));
      break;
    case 'computed':
      glow(context, angle, palette.computed, still ? 1 : 0.6 + 0.4 * Math.cos((time - leg.start) / 120));
      break;
    case 'failed':
      glow(context, angle, palette.bad, 1 - share);
      break;
  }
}

/** Copies are squares, so that they differ from fetched blocks in more than colour. */
function drawCopies(
  context: CanvasRenderingContext2D,
  { at, from, to, copied }: TimedFlow,
  middles: ReadonlyMap<string, WorkerArc>,
  { time, palette, still }: Scene,
): void {
  const [source, target] = [middles.get(from), middles.get(to)];
  if (source === undefined || target === undefined) return;
  const [begin, end] = [pointAt(middleOf(source), INNER_RADIUS), pointAt(middleOf(target), INNER_RADIUS)];
  const way = (share: number) => chordPoint(begin, end, share);
  line(context, CHORD.map(way), palette.copy, 0.4);
  if (still) return;
  const squares = Math.min(copied, COPY_SQUARES);
  context.fillStyle = palette.copy;
  for (let i = 0; i < squares; i++) {
    const share = (time - at - i * COPY_GAP_MS) / (FLOW_MS - squares * COPY_GAP_MS);
    if (share < 0 || share > 1) continue;
    const { x, y } = way(share);
    context.fillRect(x - 4, y - 4, 8, 8);
  }
}

/** Requests of one worker stand next to each other, in the middle part of its arc. */
function spread(arc: WorkerArc, request: number): number {
  const place = ((request * 7) % 13) / 13 - 0.5;
  return middleOf(arc) + place * 0.7 * Math.min(arc.to - arc.from, 0.9);
}

function straight(from: Point, to: Point): (share: number) => Point {
  return (share) => ({ x: from.x + share * (to.x - from.x), y: from.y + share * (to.y - from.y) });
}

function line(context: CanvasRenderingContext2D, points: readonly Point[], colour: string, opacity = 0.8): void {
  context.globalAlpha = opacity;
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  for (const { x, y } of points) context.lineTo(x, y);
  context.stroke();
  context.globalAlpha = 1;
}

/** A dot that is empty: nothing is done yet. */
function circle(context: CanvasRenderingContext2D, { x, y }: Point, radius: number, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
}

function dot(context: CanvasRenderingContext2D, { x, y }: Point, radius: number, colour: string): void {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function comet(
  context: CanvasRenderingContext2D,
  way: (share: number) => Point,
  share: number,
  colour: string,
  radius: number,
): void {
  line(context, [way(Math.max(0, share - 0.25)), way(share)], colour, 0.4);
  dot(context, way(share), radius, colour);
}

/** Dots that set out one after another while the leg lasts. */
function dots(
  context: CanvasRenderingContext2D,
  way: (share: number) => Point,
  sinceMs: number,
  lastsMs: number,
  colour: string,
  radius: number,
): void {
  const flight = Math.min(FLIGHT_MS, lastsMs);
  for (let age = sinceMs % DOT_MS; age < flight && age <= sinceMs; age += DOT_MS)
    dot(context, way(age / flight), radius, colour);
}

/** Light on the inside of an arc. */
function glow(context: CanvasRenderingContext2D, angle: number, colour: string, strength: number): void {
  context.globalAlpha = Math.max(0, Math.min(1, strength));
  const { x, y } = pointAt(angle, (INNER_RADIUS + OUTER_RADIUS) / 2);
  dot(context, { x, y }, 9, colour);
  context.globalAlpha = 1;
}
