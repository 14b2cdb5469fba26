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

/** What is known of a run beside running answers. */
export interface RunBesideAnswers {
  /** The greatest number of tokens. */
  readonly mostTokens: number;
  readonly blockTokens: number;
  readonly pauseMs: number;
  /** The measured time of a prompt's token; null until it is measured. */
  readonly msPerToken: number | null;
}

/**
 * The number of tokens of the next run of a prompt beside running answers: `mostTokens`, or its half or quarter where more would pause them for longer
 * than `pauseMs`. Never less than a block or a quarter, however slow the device is: the time of a shorter run says little about its speed.
 */
export function chunkSize({ mostTokens, blockTokens, pauseMs, msPerToken }: RunBesideAnswers): number {
  if (pauseMs === 0 || msPerToken === null) return mostTokens;
  const sizes = PARTS.map((part) => Math.ceil(mostTokens / part)).filter((tokens) => tokens >= blockTokens);
  return sizes.find((tokens) => tokens * msPerToken <= pauseMs) ?? sizes.at(-1) ?? mostTokens;
}
