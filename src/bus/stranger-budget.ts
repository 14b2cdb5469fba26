/** A bound on the keys that a process derives for messages which turn out to be forged. */

/** Limit per second. Beyond it, messages that ask for another key are dropped unread. */
const STRANGER_FAILURES_PER_S = 100;

/**
 * A process without the secret cannot mark a sealer of its own, but can put the marks of recorded messages on forged ones. Each sealer asks for the derivation of
 * a key. After a number of failures, such messages are dropped until the second is over; those of sealers whose key is known are not affected.
 */
export class StrangerBudget {
  private sinceMs = Number.NEGATIVE_INFINITY;
  private failures = 0;

  allows(nowMs: number): boolean {
    if (nowMs - this.sinceMs >= 1_000) {
      this.sinceMs = nowMs;
      this.failures = 0;
    }
    return this.failures < STRANGER_FAILURES_PER_S;
  }

  failed(): void {
    this.failures++;
  }
}
