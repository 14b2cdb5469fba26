/** How many tokens to guess for one sequence, from how many of its earlier guesses were right. */

/** Length of the first guess. */
const FIRST_TOKENS = 4;
/** Longest rest, in steps, after guesses that were wrong from their first token. */
const LONGEST_REST_STEPS = 32;

/**
 * Guesses that were right in full double the next one, and guesses that were right in part shorten it to that part. After one of which nothing was
 * right, the sequence rests for a step, then for two, four and so on: a wrong guess costs time.
 */
export class DraftLength {
  private tokens: number;
  private rest = 0;
  private nextRest = 1;

  /** @param most greatest length of a guess; 0 for none */
  constructor(private readonly most: number) {
    this.tokens = Math.min(FIRST_TOKENS, most);
  }

  /** The length of the guess for the next step; 0 while it rests. To be asked once a step. */
  next(): number {
    if (this.rest === 0) return this.tokens;
    this.rest--;
    return 0;
  }

  /** Of `guessed` tokens, at least 1, the first `right` were those that the model chose. */
  verified(guessed: number, right: number): void {
    if (right === 0) {
      this.rest = this.nextRest;
      this.nextRest = Math.min(2 * this.nextRest, LONGEST_REST_STEPS);
      this.tokens = Math.min(FIRST_TOKENS, this.most);
      return;
    }
    this.nextRest = 1;
    if (right === guessed) this.tokens = Math.min(Math.max(2 * guessed, this.tokens), this.most);
    else this.tokens = right;
  }
}
