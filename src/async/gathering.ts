import type { Clock, Timer } from '../clock.js';

/** Batches items that come one by one, where handling many together costs as much as handling one. */
export class Gathering<T> {
  private waiting: T[] = [];
  private passed = 0;
  private timer: Timer | null = null;
  private stopped = false;

  /** @param free the items that are handled at once in an interval; those beyond wait for its end, and are then handled together */
  constructor(
    private readonly clock: Clock,
    private readonly free: number,
    private readonly intervalMs: number,
    private readonly handle: (items: readonly T[]) => void,
  ) {}

  /** Handles an item now or with others. After `stop`, items are ignored. */
  add(item: T): void {
    if (this.stopped) return;
    this.timer ??= this.clock.after(this.intervalMs, () => this.end());
    if (this.passed < this.free) {
      this.passed++;
      this.handle([item]);
    } else {
      this.waiting.push(item);
    }
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.waiting = [];
  }

  private end(): void {
    const items = this.waiting;
    this.waiting = [];
    this.timer = null;
    this.passed = 0;
    if (items.length > 0) this.handle(items);
  }
}
