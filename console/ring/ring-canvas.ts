import type { DrawnCopies, DrawnLeg, DrawnScene } from './drawn-scene.js';
import { FLOW_MS } from './flow-legs.js';
import { type CurvedWay, onWay, type Point } from './ring-layout.js';

/**
 * Draws the requests and copies of one moment on a canvas that lies over the ring. Many browsers draw without a graphics card: what costs is the pixels of
 * strokes, so lines of one kind are one stroke of the least width.
 */

/** The drawing goes from minus this to plus this. */
export const HALF = 320;
/** Time between two dots of a stream, and of a transfer. */
const DOT_MS = 140;
const FLIGHT_MS = 420;
/** Squares of one flow of copies: one for each block up to this many, and the time between two. */
const COPY_SQUARES = 6;
const COPY_GAP_MS = 120;
/** The tail of a request on its way to a worker, as a share of the way. */
const TAIL = 0.25;
const CIRCLE = 2 * Math.PI;

/** Colours by meaning, read from the style of the page. */
export type Palette = Readonly<Record<'ink' | 'local' | 'remote' | 'computed' | 'copy' | 'bad' | 'faint', string>>;

export interface RingMoment {
  readonly time: number;
  readonly palette: Palette;
  /** Without motion, legs are lines. */
  readonly still: boolean;
}

/** Canvases with nothing on them: they are left alone while nothing travels, so that a page that rests costs nothing. */
const blank = new WeakSet<HTMLCanvasElement>();

export function drawScene(canvas: HTMLCanvasElement, scene: DrawnScene, moment: RingMoment): void {
  const { empty } = scene;
  if (empty && blank.has(canvas)) return;
  const context = cleared(canvas);
  if (context === null) return;
  if (empty) blank.add(canvas);
  else blank.delete(canvas);
  drawLines(context, scene, moment);
  drawLights(context, scene, moment);
  if (!moment.still) drawMoving(context, scene, moment);
  drawWaiting(context, scene.legs.waiting, moment);
}

/** Fits the canvas to its size on the page. Call it when that changes: to ask for the size in each frame would cost a layout of the page. */
export function fitToPage(canvas: HTMLCanvasElement): void {
  const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.width = pixels;
  canvas.height = pixels;
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
  // A little less than one pixel of the page: from there on, strokes cost four times as much.
  context.lineWidth = (0.99 * devicePixelRatio) / scale;
  return context;
}

function drawLines(context: CanvasRenderingContext2D, { legs, copies }: DrawnScene, moment: RingMoment): void {
  const { time, palette, still } = moment;
  context.beginPath();
  for (const flow of copies) if (isShown(flow, time)) addCurve(context, flow.way);
  stroke(context, palette.copy, 0.55);
  addWays(context, legs.remote, time);
  stroke(context, palette.remote, 0.7);
  if (still) {
    addWays(context, legs.placed, time);
    stroke(context, palette.ink, 0.8);
    addWays(context, legs.streamed, time);
    stroke(context, palette.computed, 0.8);
    return;
  }
  context.beginPath();
  for (const { start, end, way } of legs.placed) {
    if (way === null || start > time || end <= time) continue;
    const share = (time - start) / (end - start);
    const tail = Math.max(0, share - TAIL);
    context.moveTo(onWay(way, 'x', tail), onWay(way, 'y', tail));
    context.lineTo(onWay(way, 'x', share), onWay(way, 'y', share));
  }
  stroke(context, palette.ink, 0.5);
}

function addWays(context: CanvasRenderingContext2D, legs: readonly DrawnLeg[], time: number): void {
  context.beginPath();
  for (const { start, end, way } of legs) if (way !== null && start <= time && end > time) addCurve(context, way);
}

function addCurve(context: CanvasRenderingContext2D, { from, bend, to }: CurvedWay): void {
  context.moveTo(from.x, from.y);
  context.quadraticCurveTo(bend.x, bend.y, to.x, to.y);
}

function stroke(context: CanvasRenderingContext2D, colour: string, opacity: number): void {
  context.globalAlpha = opacity;
  context.strokeStyle = colour;
  context.stroke();
  context.globalAlpha = 1;
}

/** Light on the inside of an arc: its worker finds, computes or fails. */
function drawLights(
  context: CanvasRenderingContext2D,
  { legs }: DrawnScene,
  { time, palette, still }: RingMoment,
): void {
  context.fillStyle = palette.local;
  for (const leg of legs.local) light(context, leg, time, swelling(leg, time));
  context.fillStyle = palette.remote;
  // Nobody knows yet who sent the blocks, or they came before as copies.
  for (const leg of legs.remote) if (leg.way === null) light(context, leg, time, swelling(leg, time));
  context.fillStyle = palette.computed;
  for (const leg of legs.computed)
    light(context, leg, time, still ? 1 : 0.6 + 0.4 * Math.cos((time - leg.start) / 120));
  context.fillStyle = palette.bad;
  for (const leg of legs.failed) light(context, leg, time, 1 - (time - leg.start) / (leg.end - leg.start));
  context.globalAlpha = 1;
}

function light(context: CanvasRenderingContext2D, leg: DrawnLeg, time: number, strength: number): void {
  if (leg.start > time || leg.end <= time) return;
  context.globalAlpha = Math.max(0, Math.min(1, strength));
  dot(context, leg.light.x, leg.light.y, 9);
}

/** Grows to 1 in the middle of the leg, and fades again. */
function swelling({ start, end }: DrawnLeg, time: number): number {
  return 1 - Math.abs((2 * (time - start)) / (end - start) - 1);
}

function drawMoving(
  context: CanvasRenderingContext2D,
  { legs, copies }: DrawnScene,
  { time, palette }: RingMoment,
): void {
  context.fillStyle = palette.copy;
  for (const flow of copies) if (isShown(flow, time)) squares(context, flow, time);
  context.fillStyle = palette.remote;
  for (const leg of legs.remote) dots(context, leg, time, 4.5);
  context.fillStyle = palette.ink;
  for (const leg of legs.streamed) dots(context, leg, time, 2.6);
  for (const { start, end, way } of legs.placed) {
    if (way !== null && start <= time && end > time) dotOn(context, way, (time - start) / (end - start), 4);
  }
}

/** Copies are squares, so that they differ from fetched blocks in more than colour. */
function squares(context: CanvasRenderingContext2D, { at, copied, way }: DrawnCopies, time: number): void {
  const count = Math.min(copied, COPY_SQUARES);
  for (let i = 0; i < count; i++) {
    const share = (time - at - i * COPY_GAP_MS) / (FLOW_MS - count * COPY_GAP_MS);
    if (share >= 0 && share <= 1) context.fillRect(onWay(way, 'x', share) - 4, onWay(way, 'y', share) - 4, 8, 8);
  }
}

/** Dots that set out one after another while the leg lasts. */
function dots(context: CanvasRenderingContext2D, { start, end, way }: DrawnLeg, time: number, radius: number): void {
  if (way === null || start > time || end <= time) return;
  const since = time - start;
  const flight = Math.min(FLIGHT_MS, end - start);
  for (let age = since % DOT_MS; age < flight && age <= since; age += DOT_MS) dotOn(context, way, age / flight, radius);
}

/** Dots that are empty: nothing is done yet. */
function drawWaiting(
  context: CanvasRenderingContext2D,
  legs: readonly DrawnLeg[],
  { time, palette }: RingMoment,
): void {
  context.beginPath();
  for (const { start, end, mark } of legs) if (start <= time && end > time) addCircle(context, mark);
  context.lineWidth = 1.5;
  stroke(context, palette.ink, 1);
}

function addCircle(context: CanvasRenderingContext2D, { x, y }: Point): void {
  context.moveTo(x + 6, y);
  context.arc(x, y, 6, 0, CIRCLE);
}

function dotOn(context: CanvasRenderingContext2D, way: CurvedWay, share: number, radius: number): void {
  dot(context, onWay(way, 'x', share), onWay(way, 'y', share), radius);
}

function dot(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, CIRCLE);
  context.fill();
}

function isShown({ at }: DrawnCopies, time: number): boolean {
  return at <= time && at + FLOW_MS > time;
}
