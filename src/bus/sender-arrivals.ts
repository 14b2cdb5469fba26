import { type Arrival, ReplayWindow } from './replay-window.js';

/** Which messages of one sender have come, by subscription. */

/** Size of a replay window: how far the messages of a sender can be reordered. */
const WINDOW_MESSAGES = 1024;

export class SenderArrivals {
  private readonly taken = new Map<number, ReplayWindow>();
  private readonly waiting = new Map<number, ReplayWindow>();

  /** A message comes to its turn. */
  take(subscription: number, counter: number): Arrival {
    return windowOf(this.taken, subscription).record(counter);
  }

  /** A message has to wait for its turn. Returns whether it came before. */
  wait(subscription: number, counter: number): boolean {
    const isTaken = this.taken.get(subscription)?.awaits(counter) === false;
    return isTaken || windowOf(this.waiting, subscription).record(counter) !== 'first';
  }

  forget(subscription: number): void {
    this.taken.delete(subscription);
    this.waiting.delete(subscription);
  }
}

function windowOf(windows: Map<number, ReplayWindow>, subscription: number): ReplayWindow {
  const known = windows.get(subscription);
  if (known) return known;
  const window = new ReplayWindow(WINDOW_MESSAGES);
  windows.set(subscription, window);
  return window;
}
