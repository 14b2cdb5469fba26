/** How many tokens of a prompt run at a time while other sequences wait for their next token. */

/** Parts of the greatest size. Shorter runs would read all weights for too few tokens; more sizes would make a device prepare for more shapes. */
const PARTS = [1, 2, 4];

/** The bounds on a run of a prompt. */
export interface PrefillBounds {
  /** The greatest number of tokens. */
  readonly chunkTokens: number;
  /** The longest pause that a run should make in running answers; 0 for any. */
  readonly pauseMs: number;
}

/**
 * The number of tokens of the next run of a prompt beside running answers: `mostTokens`, or its half or quarter where more would pause them for longer
 * than `pauseMs`. Not less than a quarter, however slow the device is.
 *
 * @param msPerToken the measured time of a prompt's token; null until it is measured
 */
export function chunkSize(mostTokens: number, pauseMs: number, msPerToken: number | null): number {
  const sizes = PARTS.map((part) => Math.ceil(mostTokens / part));
  if (pauseMs === 0 || msPerToken === null) return mostTokens;
  return sizes.find((tokens) => tokens * msPerToken <= pauseMs) ?? sizes.at(-1)!;
}
