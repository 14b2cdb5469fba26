/** A part of the last hour, and ways to another part without a mouse. Pure; in seconds. */

export interface TimeRange {
  readonly from: number;
  readonly to: number;
}

export const RANGE_STEPS = { earlier: 'Earlier', later: 'Later', narrower: 'Narrower', wider: 'Wider' } as const;
export type RangeStep = keyof typeof RANGE_STEPS;

/** The shortest range: a few values of the history. */
export const LEAST_SECONDS = 20;

/** The range after a step, within the time that is known. */
export function stepped({ from, to }: TimeRange, step: RangeStep, known: TimeRange): TimeRange {
  const length = to - from;
  const middle = (from + to) / 2;
  const wanted = step === 'narrower' ? length / 2 : step === 'wider' ? 2 * length : length;
  const next = Math.min(known.to - known.from, Math.max(LEAST_SECONDS, wanted));
  const shift = step === 'earlier' ? -length / 2 : step === 'later' ? length / 2 : 0;
  const begin = Math.min(known.to - next, Math.max(known.from, middle + shift - next / 2));
  return { from: begin, to: begin + next };
}

/** The place of the last of these times that is in the range; null if none is. */
export function lastWithin(at: readonly number[], { from, to }: TimeRange): number | null {
  const last = at.findLastIndex((time) => time <= to);
  return last === -1 || at[last]! < from ? null : last;
}
