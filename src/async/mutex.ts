/** A mutex: lets one holder at a time use a resource. */

/** Who may use a device when. */
export interface Lock {
  /** Runs `work` when its turn has come. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Does something short in nobody's turn: now, or right after the one that is being taken. */
  between(work: () => void): void;
}

/** One at a time, in the order in which they came: for what must not be entered by two threads at once. */
export class Mutex implements Lock {
  private last: Promise<unknown> = Promise.resolve();
  private taken = 0;
  private readonly postponed: (() => void)[] = [];

  run<T>(work: () => Promise<T>): Promise<T> {
    this.taken += 1;
    const turn = this.last.then(work).finally(() => {
      this.taken -= 1;
      for (const postponed of this.postponed.splice(0)) postponed();
    });
    // Whoever failed is told; the next one's turn comes all the same.
    this.last = turn.catch(() => {});
    return turn;
  }

  between(work: () => void): void {
    if (this.taken === 0) work();
    else this.postponed.push(work);
  }
}

/** Everybody at once. */
export const NO_LOCK: Lock = {
  run: (work) => work(),
  between: (work) => work(),
};
