/** The places of the ticks of a plot: values that people read easily. Pure. */

/** What a plot counts: bytes, whole things, or anything else. */
export type PlotUnit = 'bytes' | 'whole' | 'number';

const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const DECADES = Array.from({ length: 13 }, (_, power) => 10 ** power);
const WHOLE = DECADES.flatMap((decade) => [decade, 2 * decade, 5 * decade]);
const PARTS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/** Distances that ticks may have, in ascending order. Those of bytes are powers of two: 512 KiB, not 488. */
export const TICK_DISTANCES: Readonly<Record<PlotUnit, number[]>> = {
  bytes: POWERS,
  whole: WHOLE,
  number: [...PARTS, ...WHOLE],
};

/** Distances of ticks of time, in seconds. */
export const TIME_DISTANCES: number[] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600];

/** The text at a tick of time: without seconds where ticks are minutes apart. */
export function timeTick(seconds: number, distance: number): string {
  const timeStyle = distance < 60 ? 'medium' : 'short';
  return new Date(seconds * 1_000).toLocaleTimeString('en-GB', { timeStyle });
}
