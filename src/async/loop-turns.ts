/**
 * Turns of the event loop for work that takes milliseconds: each caller of `next` gets a separate turn, so that other events, such as a health check,
 * run between any two of them, regardless of the number of requests.
 */
class LoopTurns {
  private last: Promise<void> = Promise.resolve();

  /** Resolves in a turn in which no other caller continues. */
  next(): Promise<void> {
    this.last = this.last.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.last;
  }
}

/** The turns of this process, which has one event loop. */
export const LOOP_TURNS = new LoopTurns();
