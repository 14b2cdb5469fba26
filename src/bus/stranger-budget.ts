/** A bound on the work for messages of senders that a process does not know. */

/** Limit on the messages of unknown senders that turn out to be forged, per second. Beyond it, messages of unknown senders are dropped unread. */
const STRANGER_FAILURES_PER_S = 100;

/**
 * Bounds the work for messages of senders that this process does not know: each costs the derivation of a key. After a number of failures, such
 * messages are dropped unread until the second is over.
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
