import type { Clock, Timer } from '../../src/clock.js';

/** Timers of one owner, which can all be cancelled together. */
export class Timers {
  private readonly pending = new Set<Timer>();

  constructor(private readonly clock: Clock) {}

  /** Calls `act` once, `delayMs` from now. */
  after(delayMs: number, act: () => void): Timer {
    const timer: Timer = this.clock.after(delayMs, () => {
      this.pending.delete(timer);
      act();
    });
    this.pending.add(timer);
    return timer;
  }

  /** Idempotent. */
  cancel(timer: Timer): void {
    timer.cancel();
    this.pending.delete(timer);
  }

  /** Cancels the timer of something that has one at most. */
  end(owner: { timer: Timer | null }): void {
    if (owner.timer) this.cancel(owner.timer);
    owner.timer = null;
  }

  cancelAll(): void {
    for (const timer of this.pending) timer.cancel();
    this.pending.clear();
  }
}
