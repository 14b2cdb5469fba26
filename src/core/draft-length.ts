/** How many tokens of an answer to guess, so that the most tokens are expected for the time that their run takes. */

export interface DraftOdds {
  /** The probability that a guessed token is right if those before it are. */
  readonly right: number;
  /** What a guessed token adds to the time of a run, as a part of the time of a step of one token. */
  readonly cost: number;
}

/** The length of a guess, at most `most`; 0 where a step of one token is better. */
export function draftLength({ right, cost }: DraftOdds, most: number): number {
  let best = 0;
  let bestRate = 1;
  // The tokens that are expected: the one after the last token, and each guess that is right with all before it.
  let expected = 1;
  let odds = 1;
  for (let length = 1; length <= most; length++) {
    odds *= right;
    expected += odds;
    const rate = expected / (1 + length * cost);
    if (rate <= bestRate) continue;
    best = length;
    bestRate = rate;
  }
  return best;
}
