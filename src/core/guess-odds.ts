/** How often guesses of one sequence's tokens were right lately. */

/** Before anything is known. */
const FIRST = 0.3;
/** Weight of each new token against the earlier ones. */
const WEIGHT = 0.15;

export class GuessOdds {
  private mean = FIRST;

  /** The probability that a guessed token is right if those before it are. */
  get right(): number {
    return this.mean;
  }

  /** Of `guessed` tokens, at least 1, the first `right` were those that the model chose. Those behind the first wrong one tell nothing. */
  observe(guessed: number, right: number): void {
    for (let i = 0; i < right; i++) this.mean += WEIGHT * (1 - this.mean);
    if (right < guessed) this.mean -= WEIGHT * this.mean;
  }
}
